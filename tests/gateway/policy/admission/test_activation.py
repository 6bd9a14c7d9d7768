"""A model without an endpoint: its requests wait for the first one, in their order, and not for ever."""

from typing import Any

import pytest

from services.common.errors import ActivationTimeout, Saturated
from services.gateway.policy.admission.activation import Activation
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model

CORE, BATCH = Priority.CORE_REACTIVE, Priority.COMPLEMENTARY_PROACTIVE


def asleep(admission: dict[str, Any] | None = None, **activation: Any) -> Model:
    model = Model(admission, activation={"timeout": 60, **activation})
    model.turn(healthy=False)
    return model


def test_requests_wait_and_all_start_with_the_first_endpoint() -> None:
    model = asleep()
    requests = [model.send() for _ in range(50)]
    model.clock.run(20)
    assert model.running == 0
    assert model.depth() == 50
    model.turn(healthy=True)
    model.clock.run(20)
    assert model.running == 50
    assert model.depth() == 0
    model.clock.run(30)
    assert all(request.ended == 21 for request in requests)
    assert model.clock.timers == 0


def test_with_a_limit_they_start_by_class_and_share_between_tenants() -> None:
    model = asleep({"concurrency": 1, "queue": 100}, queue=100)
    batch = [model.send(priority=BATCH) for _ in range(5)]
    core = [model.send(priority=CORE, tenant=tenant) for tenant in ("greedy",) * 10 + ("modest",) * 3]
    model.turn(healthy=True)
    model.clock.run(100)
    order = sorted(core + batch, key=lambda request: request.started or 0)
    assert order[-5:] == batch
    turns = [request.call.tenant for request in order[:6]]
    assert turns.count("modest") == 3


def test_who_waits_for_an_endpoint_has_longer_than_who_waits_for_a_turn() -> None:
    model = asleep({"concurrency": 1, "patience": 5}, timeout=60)
    first, second = model.send(seconds=10), model.send(seconds=10)
    model.clock.run(30)
    model.turn(healthy=True)
    model.clock.run(80)
    assert (first.started, second.started) == (30, 40)


def test_who_waited_for_a_turn_when_the_last_endpoint_went_waits_for_the_next_one() -> None:
    model = Model({"concurrency": 1, "patience": 5}, activation={"timeout": 60})
    first, second = model.send(seconds=3), model.send()
    model.turn(healthy=False)
    model.clock.run(50)
    assert first.ended == 3
    assert second.error is None
    model.turn(healthy=True)
    model.clock.run(60)
    assert second.started == 50


def test_after_the_timeout_it_is_answered_503_and_told_a_time() -> None:
    model = asleep()
    request = model.send()
    model.clock.run(61)
    assert isinstance(request.error, ActivationTimeout)
    assert request.refused == 60
    assert request.error.http_status == 503
    assert request.error.retry_after is not None
    assert request.error.retry_after >= 60  # it took longer than it may: as long again
    assert model.shed() == {(CORE, "activation"): 1}
    assert model.clock.timers == 0


def test_the_time_is_what_it_took_the_last_time() -> None:
    model = asleep(queue=1)
    model.send()
    model.clock.run(40)
    model.turn(healthy=True)
    model.clock.run(50)
    model.turn(healthy=False)
    model.send()  # it starts anew
    model.clock.run(60)
    refused = model.send()
    assert isinstance(refused.error, Saturated)
    assert refused.error.http_status == 429
    assert refused.error.retry_after is not None
    assert 30 <= refused.error.retry_after <= 33  # 40 s, of which 10 are over
    model.clock.run(90)
    model.turn(healthy=True)
    again = model.send(again=refused)
    assert again.started == 90


def test_the_queue_is_bounded_and_the_more_urgent_takes_a_place() -> None:
    model = asleep(queue=2)
    low = [model.send(priority=BATCH) for _ in range(3)]
    assert [isinstance(request.error, Saturated) for request in low] == [False, False, True]
    urgent = model.send(priority=CORE)
    model.clock.run(0)
    assert urgent.error is None
    assert isinstance(low[1].error, Saturated)
    assert low[1].error.retry_after is not None
    assert low[1].error.retry_after > 30


def test_it_is_wanted_until_it_is_there_or_nobody_asked_for_long() -> None:
    model = asleep()
    assert not model.activating()
    request = model.send()
    assert model.activating()
    model.clock.run(10)
    request.leave()  # what its client began goes on: who loads must not be stopped
    model.clock.run(59)
    assert model.activating()
    model.clock.run(61)
    assert not model.activating()
    model.send()
    assert model.activating()
    model.turn(healthy=True)
    assert not model.activating()
    model.clock.run(70)


def test_a_model_without_activation_keeps_nobody_waiting_for_its_503() -> None:
    model = Model({"concurrency": 1})
    model.turn(healthy=False)
    assert model.send().started == 0
    assert model.admissions.activating() == {}


@pytest.mark.parametrize(("waited", "left"), [(0, 60), (50, 10), (60, 60), (90, 90)])
def test_what_takes_longer_than_it_may_is_expected_to_take_as_long_again(waited: float, left: float) -> None:
    activation = Activation()
    assert activation.left(0, 60) == 0
    activation.want(0, 60)
    assert activation.left(waited, 60) == left


def test_a_removed_model_lets_go_of_who_waits() -> None:
    model = asleep()
    request = model.send()
    model.fleet.models = {}
    model.admissions.use(model.fleet)
    model.clock.run(1)
    assert request.started == 0
