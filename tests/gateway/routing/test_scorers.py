"""Each score is between 0 and 1, and says what its name says."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.routing import scorers
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals
from tests.gateway.routing.endpoints import endpoint

vitals = st.none() | st.builds(Vitals, st.integers(0, 10**6), st.floats(0, 1), st.sets(st.just("a")).map(frozenset))
states = st.lists(st.tuples(st.integers(0, 10**6), vitals), min_size=1, max_size=6)


@given(states, st.text(max_size=20), st.floats(1, 10))
def test_every_score_is_between_0_and_1(found: list[tuple[int, Vitals | None]], name: str, spread: float) -> None:
    endpoints = [endpoint(in_flight=count, vitals=one) for count, one in found]
    said = [one for _, one in found]
    places = {one: scorers.digest(one.url) for one in endpoints}
    for scores in (
        scorers.in_flight(endpoints), scorers.queue(said), scorers.kv_cache(said), scorers.adapter(said, "a"),
        scorers.prefix([5] * len(found), 5, endpoints, spread), scorers.session(endpoints, places, name, spread),
    ):  # fmt: skip
        assert len(scores) == len(found)
        assert all(0 <= score <= 1 for score in scores)


@given(states)
def test_some_endpoint_always_attracts(found: list[tuple[int, Vitals | None]]) -> None:
    assert any(scorers.attractive([endpoint(in_flight=count, vitals=one) for count, one in found], 1))


def owners(endpoints: list[Endpoint], sessions: int) -> list[Endpoint]:
    places = {one: scorers.digest(one.url) for one in endpoints}
    return [scorers.session_owner(endpoints, places, f"session-{i}", 1.25) for i in range(sessions)]


def test_sessions_spread_evenly() -> None:
    endpoints = [endpoint() for _ in range(5)]
    counts = Counter(owners(endpoints, 5000))
    assert all(900 < counts[one] < 1100 for one in endpoints)


def test_an_endpoint_that_leaves_moves_its_own_sessions_only() -> None:
    endpoints = [endpoint() for _ in range(5)]
    gone = endpoints[2]
    before, after = owners(endpoints, 1000), owners([one for one in endpoints if one is not gone], 1000)
    moved = Counter(new for old, new in zip(before, after, strict=True) if old is gone)
    assert all(old is new for old, new in zip(before, after, strict=True) if old is not gone)
    assert len(moved) == 4
