"""Routing is a pure function of a snapshot."""

from collections import Counter
from typing import Any

from services.gateway.routing.hints import ANYWHERE, Hints
from services.gateway.upstream.circuit import CircuitPolicy
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals
from tests.gateway.routing.endpoints import endpoint, picker

PROMPT = b'"messages"'


def prompt(text: str) -> Hints:
    return ANYWHERE.about(b'{"messages":' + text.encode(), PROMPT)


def chosen(*endpoints: Endpoint, hints: Hints = ANYWHERE, times: int = 2000, **routing: Any) -> Counter[Endpoint]:
    made = picker(*endpoints, **routing)
    return Counter(found for _ in range(times) if (found := made.pick(hints, None, ())))


def shares(*endpoints: Endpoint, **weights: int) -> Counter[str]:
    counted: Counter[str] = Counter()
    for found, count in chosen(*endpoints, shares=weights).items():
        counted[found.version] += count
    return counted


def test_the_least_busy_healthy_untried_endpoint_is_picked() -> None:
    busy, idle, sick, tried = endpoint(in_flight=3), endpoint(in_flight=1), endpoint(healthy=False), endpoint()
    assert picker(busy, idle, sick, tried).pick(ANYWHERE, None, {tried}) is idle
    assert picker(sick, tried).pick(ANYWHERE, None, {tried}) is None


def test_an_ejected_endpoint_is_the_last_resort() -> None:
    ejected, busy = endpoint(), endpoint(in_flight=50)
    ejected.circuit.open(CircuitPolicy())
    made = picker(ejected, busy)
    assert made.pick(ANYWHERE, None, ()) is busy
    assert made.pick(ANYWHERE, None, {busy}) is ejected


def test_equals_share_the_load() -> None:
    assert min(chosen(endpoint(), endpoint()).values()) > 800


def test_versions_share_by_weight_however_many_endpoints_they_have() -> None:
    found = shares(endpoint("v1"), endpoint("v1"), endpoint("v2"), v1=90, v2=10)
    assert 140 < found["v2"] < 260


def test_weight_zero_gets_nothing_until_it_is_the_last() -> None:
    assert set(shares(endpoint("v1"), endpoint("v2"), v2=0)) == {"v1"}
    assert set(shares(endpoint("v1", healthy=False), endpoint("v2"), v2=0)) == {"v2"}


def test_a_version_is_drawn_before_load_is_looked_at() -> None:
    found = shares(endpoint("v1", in_flight=500), endpoint("v2"), v1=90, v2=10)
    assert 140 < found["v2"] < 260


def test_a_named_version_answers_or_none_does() -> None:
    one, two = endpoint("v1"), endpoint("v2", in_flight=100)
    made = picker(one, two)
    assert made.pick(Hints(version="v2"), None, ()) is two
    assert made.pick(Hints(version="v2"), None, {two}) is None


def test_a_shadow_answers_only_who_names_it() -> None:
    shadow, sick = endpoint("shadow"), endpoint("v1", healthy=False)
    made = picker(sick, shadow, shadows=("shadow",))
    assert made.pick(ANYWHERE, None, ()) is None
    assert made.pick(Hints(version="shadow"), None, ()) is shadow


def test_a_queue_inside_an_engine_counts_beside_what_this_gateway_sent() -> None:
    queued = endpoint(in_flight=2, vitals=Vitals(waiting=30, kv_cache=0.5))
    free = endpoint(in_flight=3, vitals=Vitals(waiting=0, kv_cache=0.5))
    assert set(chosen(queued, free)) == {free}
    assert set(chosen(queued, free, weights={"queue": 0, "kv_cache": 0})) == {queued}


def test_a_new_scrape_is_seen_at_once() -> None:
    one, two = endpoint(vitals=Vitals(9, 0.5)), endpoint(vitals=Vitals(0, 0.5))
    made = picker(one, two)
    assert made.pick(ANYWHERE, None, ()) is two
    two.vitals = Vitals(30, 0.5)
    assert made.pick(ANYWHERE, None, ()) is one


def test_an_engine_that_says_nothing_is_taken_for_an_average_one() -> None:
    silent, queued, free = endpoint(), endpoint(vitals=Vitals(10, 0.9)), endpoint(vitals=Vitals(0, 0.1))
    assert set(chosen(silent, queued)) == {silent, queued}
    assert set(chosen(silent, queued, free)) == {free}


def test_a_full_cache_is_avoided() -> None:
    full, empty = endpoint(vitals=Vitals(0, 0.99)), endpoint(vitals=Vitals(0, 0.01))
    assert set(chosen(full, empty)) == {empty}


def test_an_adapter_goes_where_it_is_loaded_and_anywhere_else_if_it_is_nowhere() -> None:
    loaded = endpoint(in_flight=1, vitals=Vitals(0, 0.2, frozenset({"support"})))
    other = endpoint(vitals=Vitals(0, 0.2))
    made = picker(loaded, other)
    assert made.pick(ANYWHERE, "support", ()) is loaded
    assert made.pick(ANYWHERE, "billing", ()) is other


def test_prompts_that_begin_alike_go_to_one_endpoint() -> None:
    made = picker(*(endpoint() for _ in range(8)))
    first = {name: made.pick(prompt(name * 3000), None, ()) for name in "abcdefgh"}
    assert len(set(first.values())) > 2
    for name, where in first.items():
        assert made.pick(prompt(name * 3000 + "and then another question " * 50), None, ()) is where


def test_a_hot_prefix_does_not_overload_its_endpoint() -> None:
    endpoints = [endpoint() for _ in range(4)]
    made = picker(*endpoints)
    for _ in range(200):  # nobody's answer ends
        found = made.pick(prompt("You are a helpful assistant. " * 100), None, ())
        assert found is not None
        found.in_flight += 1
    mean = 200 / 4
    assert all(one.in_flight <= mean * 1.25 + 1 for one in endpoints)


def test_a_prompt_too_short_for_a_block_is_routed_by_load() -> None:
    idle, busy = endpoint(), endpoint(in_flight=3)
    assert set(chosen(idle, busy, hints=prompt("short"))) == {idle}


def test_a_session_stays_with_its_endpoint_and_its_version() -> None:
    endpoints = [endpoint(version) for version in ("v1", "v1", "v2", "v2")]
    homes: Counter[Endpoint] = Counter()
    for name in range(200):
        found = chosen(*endpoints, hints=Hints(session=f"s{name}"), times=5)
        assert len(found) == 1
        homes += found
    assert min(homes[one] for one in endpoints) > 5 * 25


def test_a_session_leaves_an_endpoint_that_has_too_much_to_do() -> None:
    endpoints = [endpoint() for _ in range(3)]
    made = picker(*endpoints)
    home = made.pick(Hints(session="s"), None, ())
    assert home is not None
    home.in_flight = 100
    away = made.pick(Hints(session="s"), None, ())
    assert away is not home
    home.in_flight = 0
    assert made.pick(Hints(session="s"), None, ()) is home


def test_two_choices_out_of_many_even_the_load() -> None:
    endpoints = [endpoint() for _ in range(50)]
    made = picker(*endpoints, choices_above=16)
    for _ in range(5000):
        found = made.pick(ANYWHERE, None, ())
        assert found is not None
        found.in_flight += 1
    # One random choice would spread these from about 70 to 130.
    assert max(one.in_flight for one in endpoints) - min(one.in_flight for one in endpoints) < 15


def test_two_choices_do_not_lose_a_session_a_prefix_or_an_adapter() -> None:
    endpoints = [endpoint() for _ in range(50)]
    made = picker(*endpoints, choices_above=16)
    assert len({made.pick(Hints(session="s"), None, ()) for _ in range(50)}) == 1
    assert len({made.pick(prompt("x" * 4000), None, ()) for _ in range(50)}) == 1
    endpoints[7].vitals = Vitals(0, 0.0, frozenset({"support"}))
    assert {made.pick(ANYWHERE, "support", ()) for _ in range(50)} == {endpoints[7]}
