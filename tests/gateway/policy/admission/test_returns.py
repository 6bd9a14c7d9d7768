"""`Retry-After`: when it says so, and what it is worth to keep to it."""

from services.common.errors import Saturated
from services.gateway.policy.admission.returns import GRACE, LONGEST, Returns
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model, Request

URGENT, LATER, *_ = Priority


def told(request: Request) -> int:
    assert isinstance(request.error, Saturated)
    assert request.error.retry_after is not None
    assert f"try again in {request.error.retry_after} s" in request.error.message
    return request.error.retry_after


def taught(seconds: float, concurrency: int = 1, queue: int = 2) -> Model:
    """A model that is known to take so long for each request."""
    model = Model({"concurrency": concurrency, "queue": queue, "patience": 10_000})
    for _ in range(20):
        for _ in range(concurrency):
            model.send(seconds)
        model.clock.run(model.clock.time + seconds)
    return model


def test_it_grows_with_the_time_a_request_takes() -> None:
    said = []
    for seconds in (0.1, 1.0, 10.0):
        model = taught(seconds)
        for _ in range(3):
            model.send(seconds)
        said.append(told(model.send(seconds)))
    assert said[0] == 1
    assert 1 < said[1] <= 3
    assert 10 < said[2] <= 30


def test_each_refused_request_gets_a_time_of_its_own() -> None:
    model = taught(2.0)
    for _ in range(3):
        model.send(2.0)
    times = [told(model.send(2.0)) for _ in range(10)]
    assert times == sorted(times)
    assert 9 * 2.0 <= times[-1] - times[0] <= 9 * 2.5  # as fast as the model serves, or somewhat slower


def test_a_request_that_returns_goes_before_those_that_came_since() -> None:
    model = taught(2.0)
    for _ in range(3):
        model.send(2.0)
    refused = model.send(2.0)
    model.clock.run(model.clock.time + told(refused))
    newcomers = [model.send(2.0) for _ in range(5)]
    again = model.send(2.0, again=refused)
    model.clock.run(model.clock.time + 60)
    assert again.ended is not None
    assert newcomers[0].error is not None or (newcomers[0].ended or 0.0) > again.ended


def test_the_same_request_sent_at_once_again_gains_nothing() -> None:
    model = taught(2.0)
    for _ in range(3):
        model.send(2.0)
    refused = model.send(2.0)
    assert told(model.send(2.0, again=refused)) >= told(refused)


def test_clients_that_never_return_do_not_make_others_wait_longer() -> None:
    model = taught(0.5)
    said = []
    for _ in range(2000):
        request = model.send(0.5)
        if request.error:
            said.append(told(request))
        model.clock.run(model.clock.time + 0.1)
    assert max(said[-100:]) < 30  # 1,600 refusals, of which every one would have taken half a second


def test_a_tenant_that_never_returned_takes_nothing_from_another() -> None:
    model = taught(2.0)
    for _ in range(3):
        model.send(2.0, tenant="here")
    alone = [told(model.send(2.0, tenant="here")) for _ in range(5)]
    model = taught(2.0)
    for _ in range(3):
        model.send(2.0, tenant="gone")
    told(model.send(2.0, tenant="gone"))
    model.clock.run(model.clock.time + 100.0)
    for _ in range(3):
        model.send(2.0, tenant="here")
    assert [told(model.send(2.0, tenant="here")) for _ in range(5)] == alone


def test_a_class_that_gets_no_turn_is_told_to_return_when_the_others_may_be_done() -> None:
    model = taught(0.5, queue=4)
    under_urgent_load(model, 100.0)
    first, second = told(model.send(0.5, LATER)), told(model.send(0.5, LATER))
    assert first < 60 <= second  # a turn was set aside for the first


def test_who_comes_back_to_a_turn_that_was_set_aside_has_it() -> None:
    model = taught(0.5, queue=4)
    under_urgent_load(model, 100.0)
    refused = model.send(0.5, LATER)
    under_urgent_load(model, told(refused))
    again = model.send(0.5, LATER, again=refused)
    under_urgent_load(model, 15.0)  # until one turn of 25 comes up
    assert again.ended is not None


def under_urgent_load(model: Model, seconds: float) -> None:
    """Twice what the model can serve."""
    until = model.clock.time + seconds
    while model.clock.time < until:
        model.send(0.5, URGENT)
        model.clock.run(model.clock.time + 0.25)
    for _ in range(2):
        model.send(0.5, URGENT)


def test_what_would_have_to_wait_too_long_is_promised_nothing() -> None:
    returns = Returns()
    said = [returns.promise(key, 0.0, 0.0, 0.0, 0.1) for key in range(100)]
    assert max(said) == LONGEST
    assert not returns.redeem(99, LONGEST + 1.0)


def test_turns_that_are_set_aside_are_promised_one_after_the_other() -> None:
    returns = Returns()
    said = [returns.reserve(key, 0.0, 0.0, pace=0.1, within=45.0) for key in range(6)]
    assert said == [10, 20, 30, 40, None, None]
    promise = returns.redeem(2, 31.0)
    assert promise is not None
    assert promise.reserved


def test_promises_are_forgotten() -> None:
    returns = Returns()
    after = returns.promise(1, 0.0, 0.0, 0.0, 1.0)
    assert returns.redeem(1, after - 0.5) is None  # too early
    assert returns.expected(after)
    assert returns.redeem(2, after) is None  # another request
    assert returns.redeem(1, after + GRACE + 1.0) is None  # too late
    assert not returns.expected(after + GRACE + 1.0)
