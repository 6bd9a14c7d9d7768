"""Score: how well each candidate suits a request, from 0 to 1. Pure functions on what is known of the endpoints."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from operator import add

from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals

SLACK = 4
"""Requests at an endpoint that are never too many, whatever the mean is."""
_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, made odd (Knuth, The Art of Computer Programming 3, 6.4)."""


def in_flight(endpoints: Sequence[Endpoint]) -> list[float]:
    """Fewest requests of this gateway's first."""
    counts = [endpoint.in_flight for endpoint in endpoints]
    most = max(counts) + 1
    return [1 - count / most for count in counts]


def queue(vitals: Sequence[Vitals | None]) -> list[float]:
    """Fewest requests waiting in the engine first; an engine that says nothing counts as the mean of those that do."""
    waiting = _known([None if one is None else one.waiting for one in vitals])
    most = max(waiting) + 1
    return [1 - count / most for count in waiting]


def kv_cache(vitals: Sequence[Vitals | None]) -> list[float]:
    """The emptiest KV cache first: a full one makes the engine preempt. The mean where an engine says nothing."""
    return [1 - used for used in _known([None if one is None else one.kv_cache for one in vitals])]


def _known(values: Sequence[float | None]) -> list[float]:
    known = [value for value in values if value is not None]
    mean = sum(known) / len(known) if known else 0.0
    return [mean if value is None else value for value in values]


def adapter(vitals: Sequence[Vitals | None], name: str) -> list[float]:
    """1 where the LoRA adapter is loaded."""
    return [float(one is not None and name in one.adapters) for one in vitals]


def prefix(depths: Sequence[int], blocks: int, endpoints: Sequence[Endpoint], spread: float) -> list[float]:
    """The share of the prompt's blocks that the endpoint served before (`depths`); 0 where it has too much to do."""
    free = attractive(endpoints, spread)
    return [depth / blocks if able else 0.0 for depth, able in zip(depths, free, strict=True)]


def session(endpoints: Sequence[Endpoint], places: Mapping[Endpoint, int], name: str, spread: float) -> list[float]:
    """1 for the session's endpoint."""
    owner = session_owner(endpoints, places, name, spread)
    return [float(endpoint is owner) for endpoint in endpoints]


def session_owner(
    endpoints: Sequence[Endpoint], places: Mapping[Endpoint, int], name: str, spread: float
) -> Endpoint:  # fmt: skip
    """The highest random weight (Thaler and Ravishankar, 1998) among those that have not too much to do.

    Nothing is remembered, every gateway comes to the same result, and an endpoint that leaves moves its sessions only.
    `places` holds the digest of each endpoint's address.
    """
    key = digest(name)
    free = [endpoint for endpoint, able in zip(endpoints, attractive(endpoints, spread), strict=True) if able]
    return max(free, key=lambda endpoint: (key ^ places[endpoint]) * _GOLDEN & _WORD)


def attractive(endpoints: Sequence[Endpoint], spread: float) -> list[bool]:
    """False where an endpoint has more than `spread` times the mean load: what draws requests to it stops doing so.

    "Consistent hashing with bounded loads" (Mirrokni, Thorup and Zadimoghaddam, 2016).
    """
    loads = [e.in_flight if e.vitals is None else e.in_flight + e.vitals.waiting for e in endpoints]
    limit = max(SLACK, spread * (sum(loads) + 1) / len(loads))
    return [load < limit for load in loads]


def weighted(weight: float, scores: Sequence[float]) -> list[float]:
    return [weight * score for score in scores]


def added(scores: Sequence[float], more: Sequence[float]) -> list[float]:
    return list(map(add, scores, more))


def digest(text: str) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


def point(text: str) -> float:
    """A number from 0 to just below 1 that is the same in every process."""
    return (digest(text) >> 11) / 2**53
