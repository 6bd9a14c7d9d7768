"""Routing is a pure function of a snapshot."""

import random
from collections import Counter

from services.gateway.routing.hints import ANYWHERE
from services.gateway.routing.pick import pick
from services.gateway.upstream.endpoint import Endpoint


def endpoint(version: str = "v1", *, weight: int = 100, in_flight: int = 0, healthy: bool = True) -> Endpoint:
    return Endpoint("m", version, "http://127.0.0.1:1", weight, "/health", healthy=healthy, in_flight=in_flight)


def shares(*endpoints: Endpoint) -> Counter[str]:
    draw = random.Random(1)
    return Counter(chosen.version for _ in range(2000) if (chosen := pick(endpoints, ANYWHERE, (), draw)))


def test_the_least_busy_healthy_untried_endpoint_is_picked() -> None:
    busy, idle, sick, tried = endpoint(in_flight=3), endpoint(in_flight=1), endpoint(healthy=False), endpoint()
    assert pick([busy, idle, sick, tried], ANYWHERE, {tried}, random.Random(1)) is idle
    assert pick([sick, tried], ANYWHERE, {tried}, random.Random(1)) is None


def test_equals_share_the_load() -> None:
    one, two = endpoint(), endpoint()
    draw = random.Random(1)
    chosen = Counter(id(pick([one, two], ANYWHERE, (), draw)) for _ in range(1000))
    assert min(chosen.values()) > 400


def test_versions_share_by_weight_however_many_endpoints_they_have() -> None:
    found = shares(endpoint("v1", weight=90), endpoint("v1", weight=90), endpoint("v2", weight=10))
    assert 140 < found["v2"] < 260


def test_weight_zero_gets_nothing_until_it_is_the_last() -> None:
    assert set(shares(endpoint("v1"), endpoint("v2", weight=0))) == {"v1"}
    assert set(shares(endpoint("v1", healthy=False), endpoint("v2", weight=0))) == {"v2"}
