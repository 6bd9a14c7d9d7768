"""So many run, so many wait, and whoever leaves starts the next one."""

import pytest

from services.common.errors import DeadlineExceeded, Saturated
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model

URGENT, LATER, LATE, LAST = Priority


def test_so_many_run_and_so_many_wait() -> None:
    model = Model({"concurrency": 2, "queue": 3})
    requests = [model.send() for _ in range(6)]
    model.clock.run(0.5)
    assert [request.started is not None for request in requests] == [True, True, False, False, False, False]
    assert isinstance(requests[5].error, Saturated)
    assert model.depth() == 3
    model.clock.run(10)
    assert [request.ended for request in requests[:5]] == [1.0, 1.0, 2.0, 2.0, 3.0]
    assert (model.most, model.depth(), model.clock.timers) == (2, 0, 0)
    assert model.shed() == {("core-reactive", "full"): 1}


def test_a_request_that_meets_a_free_place_arms_nothing() -> None:
    model = Model({"concurrency": 2})
    request = model.send()
    assert request.started == 0.0
    assert model.clock.timers == 1  # the engine's own
    assert request.place is model.send().place  # and no object is made for it


def test_the_limit_follows_the_healthy_endpoints() -> None:
    model = Model({"per_endpoint": 2, "queue": 10}, endpoints=3)
    requests = [model.send(10.0) for _ in range(8)]
    assert sum(request.started is not None for request in requests) == 6
    first, second, _ = model.fleet.endpoints()
    first.healthy = second.healthy = False
    model.clock.run(1.0)
    for request in requests[:4]:
        request.leave()  # 2 are left of 6: as many as one endpoint takes
    model.clock.run(1.5)
    assert model.running == 2
    first.healthy = True
    model.clock.run(2.0)
    model.send()
    model.clock.run(2.5)
    assert model.running == 4


def test_with_no_healthy_endpoint_requests_go_on_to_be_told_so() -> None:
    model = Model({"per_endpoint": 1})
    for endpoint in model.fleet.endpoints():
        endpoint.healthy = False
    assert model.send().started == 0.0


def test_a_client_that_leaves_is_not_waited_for() -> None:
    model = Model({"concurrency": 1, "queue": 2})
    first, second, third = model.send(), model.send(), model.send()
    second.leave()
    assert model.depth() == 1
    model.clock.run(5)
    assert second.started is None
    assert (first.ended, third.ended) == (1.0, 2.0)


def test_a_client_that_leaves_as_its_turn_comes_gives_it_on() -> None:
    model = Model({"concurrency": 1, "queue": 2})
    first, second, third = model.send(), model.send(), model.send()
    first.finish()  # second's turn has come, but it has not been told yet
    second.leave()
    model.clock.run(5)
    assert second.started is None
    assert third.started == 0.0


def test_classes_are_served_in_their_order() -> None:
    model = Model({"concurrency": 1, "queue": 10})
    model.send()
    waiting = {priority: model.send(priority=priority) for priority in reversed(Priority)}
    model.clock.run(10)
    assert [waiting[priority].started for priority in Priority] == [1.0, 2.0, 3.0, 4.0]


def test_the_model_s_role_is_the_class_of_a_request_that_names_none() -> None:
    model = Model({"concurrency": 1}, role={"criticality": "complementary", "trigger": "proactive"})
    model.send()
    model.send()
    assert model.depth(LAST) == 1


def test_the_newest_of_the_least_urgent_class_gives_way() -> None:
    model = Model({"concurrency": 1, "queue": 3})
    model.send()
    late, last, newest = (model.send(priority=priority) for priority in (LATE, LAST, LAST))
    urgent = [model.send(priority=URGENT) for _ in range(3)]
    model.clock.run(0.1)
    for request in (newest, last, late):
        assert isinstance(request.error, Saturated)
        assert request.refused == 0.0
    assert isinstance(model.send(priority=LATER).error, Saturated)
    assert isinstance(model.send(priority=URGENT).error, Saturated)
    model.clock.run(10)
    assert [request.ended for request in urgent] == [2.0, 3.0, 4.0]
    assert model.shed()["complementary-proactive", "displaced"] == 2


def test_nobody_waits_longer_than_the_model_s_patience() -> None:
    model = Model({"concurrency": 1, "patience": 2.0})
    model.send(60.0)
    waiting = model.send()
    model.clock.run(1.9)
    assert model.depth() == 1
    model.clock.run(2.1)
    assert isinstance(waiting.error, Saturated)
    assert waiting.refused == pytest.approx(2.0)
    assert model.depth() == 0


def test_what_cannot_make_its_deadline_is_refused_at_once() -> None:
    model = Model({"concurrency": 1, "queue": 10})
    for _ in range(20):  # it learns that a request takes two seconds
        model.send(2.0)
        model.clock.run(model.clock.time + 2.0)
    for _ in range(3):
        model.send(2.0)
    now = model.clock.time
    hopeless, hopeful = model.send(2.0, due=now + 6.0), model.send(2.0, due=now + 9.0)
    assert isinstance(hopeless.error, DeadlineExceeded)
    assert hopeless.refused == now
    model.clock.run(now + 20)
    assert hopeful.ended == now + 8.0
    assert model.shed() == {("core-reactive", "deadline"): 1}


def test_a_queue_of_none_refuses_what_cannot_run() -> None:
    model = Model({"concurrency": 1, "queue": 0})
    model.send()
    assert isinstance(model.send().error, Saturated)
    model.clock.run(1)
    assert model.send().started == 1.0
