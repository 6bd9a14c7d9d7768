"""Tenants of one class: who is next, and who is dropped."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.common.errors import Saturated
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model, Request

URGENT, LATER, *_ = Priority


def backlogged(model: Model, tenant: str, seconds: float, deep: int, priority: Priority | None = None) -> None:
    """A tenant that always has so many requests at the model, running or waiting."""

    def send() -> None:
        model.send(seconds, priority, tenant, told=again, done=again)

    def again(_: Request) -> None:
        model.clock.later(0.001, send)

    for _ in range(deep):
        send()


def shares(weights: dict[str, float], seconds: dict[str, float], until: float = 200.0) -> dict[str, float]:
    """Of the model's time, what each tenant got by its weight; 1 is its fair share."""
    model = Model({"concurrency": 4, "queue": 64, "patience": 1000}, weights)
    for tenant in weights:
        backlogged(model, tenant, seconds[tenant], 12)
    model.clock.run(until)
    total = sum(model.served.values())
    return {t: model.served[t] / total * sum(weights.values()) / weight for t, weight in weights.items()}


def test_time_at_the_model_is_shared_by_weight() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 4.0}
    assert all(0.9 < share < 1.1 for share in shares(weights, dict.fromkeys(weights, 0.5)).values())


def test_a_tenant_of_long_requests_gets_no_more_time_than_one_of_short_ones() -> None:
    weights = {"long": 1.0, "short": 1.0}
    assert all(0.85 < share < 1.15 for share in shares(weights, {"long": 4.0, "short": 0.25}).values())


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from("abcd"), st.tuples(st.integers(1, 8), st.floats(0.1, 2.0)), min_size=2))
def test_no_tenant_gets_less_than_four_fifths_of_its_share(tenants: dict[str, tuple[int, float]]) -> None:
    weights = {name: float(weight) for name, (weight, _) in tenants.items()}
    found = shares(weights, {name: seconds for name, (_, seconds) in tenants.items()}, until=400.0)
    assert min(found.values()) > 0.8


def test_a_flood_does_not_keep_another_tenant_out_of_the_queue() -> None:
    model = Model({"concurrency": 1, "queue": 8})
    flood = [model.send(tenant="flood") for _ in range(20)]
    quiet = [model.send(tenant="quiet") for _ in range(3)]
    model.clock.run(0.1)
    assert not any(request.error for request in quiet)
    assert sum(isinstance(request.error, Saturated) for request in flood) == 14
    assert [request.error is None for request in flood[:6]] == [True] * 6  # the newest gave way
    model.clock.run(20)
    assert max(request.ended or 99 for request in quiet) <= 7.0  # and they take turns


def test_a_tenant_that_asked_for_nothing_has_saved_up_nothing() -> None:
    model = Model({"concurrency": 1, "queue": 64, "patience": 1000})
    backlogged(model, "busy", 1.0, 8)
    model.clock.run(50.0)
    late = [model.send(tenant="late") for _ in range(8)]
    model.clock.run(66.5)
    assert 7 <= sum(request.started is not None for request in late) <= 8  # every second turn, not eight in a row
    started = sorted(request.started or 0.0 for request in late)
    assert started[3] - started[0] >= 5.0


def test_what_a_tenant_gets_in_a_more_urgent_class_counts() -> None:
    model = Model({"concurrency": 4, "queue": 64, "patience": 1000})

    def urgent() -> None:  # three of the four requests that are served each second
        model.send(1.0, URGENT, "urgent")
        model.clock.later(1 / 3, urgent)

    urgent()
    for tenant in ("urgent", "later"):
        backlogged(model, tenant, 1.0, 8, LATER)
    model.clock.run(200.0)
    assert model.served["urgent"] == pytest.approx(600, rel=0.05)
    assert model.served["later"] == pytest.approx(200, rel=0.05)


def test_a_tenant_that_was_far_ahead_is_shut_out_only_for_a_while() -> None:
    model = Model({"concurrency": 4, "queue": 64, "patience": 1000})
    ahead = [model.send(1000.0, URGENT, "ahead") for _ in range(3)]
    backlogged(model, "later", 1.0, 8, LATER)
    model.clock.run(1000.0)
    assert all(request.ended for request in ahead)
    late = [model.send(1.0, LATER, "ahead") for _ in range(8)]
    model.clock.run(1100.0)
    assert all(request.ended for request in late)


def test_work_is_not_kept_from_one_tenant_for_another_that_is_away() -> None:
    model = Model({"concurrency": 2, "queue": 64, "patience": 1000}, {"here": 1.0, "away": 100.0})
    backlogged(model, "here", 1.0, 8)
    model.clock.run(20.0)
    assert model.served["here"] >= 38.0
