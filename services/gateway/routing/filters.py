"""Filter: which endpoints may answer at all. Pure functions; `endpoints` come version by version."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from services.gateway.upstream.endpoint import Endpoint


def candidates(endpoints: Iterable[Endpoint], tried: Collection[Endpoint]) -> list[Endpoint]:
    """Not tried yet for this request, healthy, not ejected and not retired; those two where only they are left."""
    able = [endpoint for endpoint in endpoints if endpoint.available and endpoint not in tried]
    return able or [endpoint for endpoint in endpoints if endpoint.healthy and endpoint not in tried]


def weighted_version(endpoints: Sequence[Endpoint], weights: Mapping[str, int], point: float) -> Sequence[Endpoint]:
    """The endpoints of one version: the one at `point`, 0 <= point < 1, of the versions' weights laid end to end.

    Only versions that have a candidate take part. One of weight 0 is taken only where no other has a candidate.
    """
    versions: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        versions.setdefault(endpoint.version, []).append(endpoint)
    mark = point * sum(weights[version] for version in versions)
    for version, group in versions.items():
        mark -= weights[version]
        if mark < 0:
            return group
    return next(iter(versions.values()), endpoints)
