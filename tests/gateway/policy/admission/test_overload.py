"""What holds when three times as much is asked of a model as it can serve."""

from collections import Counter
from functools import cache
from itertools import pairwise

import pytest

from loadtests.overload_report import fair_shares
from services.common.errors import Saturated
from services.gateway.policy.admission.returns import LONGEST
from services.gateway.registry import Priority
from tests.gateway.policy.admission.overload import WEIGHTS, Overload
from tests.gateway.policy.admission.simulated import Request

URGENT, LATER, LATE, LAST = Priority
LONG_AFTER = 1500.0


@cache
def overload(load: float, *, returning: bool, seed: int) -> Overload:
    made = Overload(load, returning=returning, seed=seed)
    made.run(LONG_AFTER)
    return made


@pytest.fixture(params=[1, 2, 3])
def seed(request: pytest.FixtureRequest) -> int:
    drawn: int = request.param
    return drawn


@pytest.fixture(scope="module")
def long() -> Overload:
    made = Overload(3.0, seconds=300.0)
    made.run(LONG_AFTER)
    return made


@pytest.mark.parametrize("returning", [True, False])
def test_the_most_urgent_class_is_served_as_if_it_were_alone(returning: bool, seed: int) -> None:
    level = {}
    for load in (1.0, 3.0):
        run = overload(load, returning=returning, seed=seed)
        level[load] = run.served(priority=URGENT) / len(run.of(priority=URGENT))
    assert level[3.0] >= 0.95 * level[1.0]
    assert not any(one.attempts[0].error for one in overload(3.0, returning=returning, seed=seed).of(priority=URGENT))


@pytest.mark.parametrize("returning", [True, False])
def test_the_model_is_never_idle_while_somebody_waits(returning: bool, seed: int) -> None:
    run = overload(3.0, returning=returning, seed=seed)
    work = sum(
        min(request.ended, run.seconds) - request.started
        for one in run.sent for request in one.attempts
        if request.started is not None and request.ended is not None and request.started < run.seconds
    )  # fmt: skip
    assert run.model.most == run.concurrency
    assert work > 0.98 * run.concurrency * run.seconds


def test_less_urgent_classes_are_shed_first(seed: int) -> None:
    run = overload(3.0, returning=False, seed=seed)
    refused = [
        sum(bool(one.attempts[0].error) for one in run.of(priority=p)) / len(run.of(priority=p)) for p in Priority
    ]
    assert refused[0] == 0
    assert 0.4 < refused[1] < 0.8  # it gets what the first one leaves: a third of what it asks for
    assert min(refused[2:]) > 0.95


@pytest.mark.parametrize("returning", [True, False])
def test_tenants_share_the_model_by_weight_as_far_as_the_order_of_classes_allows(returning: bool, seed: int) -> None:
    """All of the most urgent class is served, whoever sent it; what is left goes to who has least for its weight."""
    run = overload(3.0, returning=returning, seed=seed)
    fair = dict.fromkeys(WEIGHTS, 0.0)
    for priority in Priority:
        asked = {tenant: float(len(run.of(priority=priority, tenant=tenant))) for tenant in WEIGHTS}
        shares = fair_shares(run.served(priority=priority), asked, WEIGHTS, had=fair)
        fair = {tenant: fair[tenant] + shares[tenant] for tenant in WEIGHTS}
    for tenant, share in fair.items():
        assert run.served(tenant=tenant) >= 0.9 * share


def test_refusals_come_when_they_can_be_decided(seed: int) -> None:
    """At the arrival of this request, or of the one that takes its place, or as its patience ends."""
    run = overload(3.0, returning=True, seed=seed)
    attempts = [request for one in run.sent for request in one.attempts]
    arrivals = {request.sent for request in attempts}
    for request in attempts:
        if request.refused is not None and request.refused != pytest.approx(request.sent + run.patience):
            assert request.refused in arrivals


def test_who_returns_as_told_is_served(seed: int) -> None:
    run = overload(3.0, returning=True, seed=seed)
    told = [one for one in run.sent if isinstance(one.attempts[0].error, Saturated)]
    assert len(told) > 1000
    assert sum(len(one.attempts) == 2 for one in told) >= 0.999 * len(told)
    assert all(one.attempts[-1].ended for one in run.sent)
    assert run.model.depth() == 0


def test_a_time_below_a_minute_is_kept_however_long_the_more_urgent_load_lasts(long: Overload) -> None:
    kept = Counter(
        again.error is None
        for one in long.of(priority=LATE) + long.of(priority=LAST)
        for refused, again in pairwise(one.attempts) if told(refused) < 60
    )  # fmt: skip
    assert kept.total() > 30
    assert kept[True] == kept.total()
    assert long.served(priority=URGENT) >= 0.95 * len(long.of(priority=URGENT))


def test_who_is_refused_again_is_told_to_wait_twice_as_long(long: Overload) -> None:
    times = [(told(first), told(then)) for one in long.sent for first, then in pairwise(one.attempts) if then.error]
    promised = [(first, then) for first, then in times if first < LONGEST]
    assert len(promised) > 1000
    assert all(then >= min(LONGEST, 2 * first) for first, then in promised)


def told(request: Request) -> int:
    assert isinstance(request.error, Saturated)
    assert request.error.retry_after is not None
    return request.error.retry_after


def test_a_model_as_fast_as_it_is_asked_refuses_next_to_nobody(seed: int) -> None:
    run = overload(0.8, returning=False, seed=seed)
    assert sum(bool(one.attempts[0].error) for one in run.sent) <= 0.01 * len(run.sent)
