"""WHERE a request runs: filter, score, pick. Pure functions on a snapshot: no clock, socket or metric inside."""

import random
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import attrgetter

from services.gateway.routing.hints import Hints
from services.gateway.upstream.endpoint import Endpoint


def candidates(endpoints: Iterable[Endpoint], tried: Collection[Endpoint]) -> list[Endpoint]:
    """Filter: not tried yet for this request, healthy and not ejected; the ejected where only they are left."""
    able = [endpoint for endpoint in endpoints if endpoint.available and endpoint not in tried]
    return able or [endpoint for endpoint in endpoints if endpoint.healthy and endpoint not in tried]


def weighted_version(endpoints: Sequence[Endpoint], draw: random.Random) -> list[Endpoint]:
    """The endpoints of one version, drawn by the versions' weights among those that have a candidate.

    A version of weight 0 is drawn only where no other has a candidate.
    """
    versions = [list(group) for _, group in groupby(endpoints, key=attrgetter("version"))]
    weights = [group[0].weight for group in versions]
    if not any(weights):
        return versions[0]
    return draw.choices(versions, weights)[0]


def least_in_flight(endpoints: Sequence[Endpoint], draw: random.Random) -> Endpoint:
    """Score: requests in flight, fewest first; equals are drawn from, so that no endpoint is always the first."""
    fewest = min(endpoint.in_flight for endpoint in endpoints)
    return draw.choice([endpoint for endpoint in endpoints if endpoint.in_flight == fewest])


def pick(
    endpoints: Iterable[Endpoint], hints: Hints, tried: Collection[Endpoint], draw: random.Random
) -> Endpoint | None:
    """The endpoint for a request, or None where none is healthy and untried. `endpoints` come version by version."""
    able = candidates(endpoints, tried)
    if hints.version is not None:
        able = [endpoint for endpoint in able if endpoint.version == hints.version]
    if not able:
        return None
    return least_in_flight(weighted_version(able, draw), draw)
