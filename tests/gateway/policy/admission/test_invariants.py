"""What holds whatever comes, in whatever order."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from services.gateway.policy.admission.model import STARVED_RETURN
from services.gateway.policy.admission.queue import RESERVED
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model, Request

PER_ENDPOINT, ENDPOINTS, QUEUE, PATIENCE = 2, 2, 4, 8.0
RANK = {priority: rank for rank, priority in enumerate(Priority)}


class Admitting(RuleBasedStateMachine):
    """Clients come, leave, return and wait, and endpoints go and come back."""

    def __init__(self) -> None:
        super().__init__()
        limits = {"per_endpoint": PER_ENDPOINT, "queue": QUEUE, "patience": PATIENCE}
        self.model = Model(limits, {"a": 1.0, "b": 3.0}, endpoints=ENDPOINTS)
        self.requests: list[Request] = []
        self.returned: list[Request] = []

    @property
    def waiting(self) -> list[Request]:
        return [one for one in self.requests if one.started is None and one.error is None and one.ended is None]

    @rule(
        priority=st.sampled_from(Priority), tenant=st.sampled_from("ab"), seconds=st.floats(0.01, 5.0),
        due=st.none() | st.floats(0.1, 20.0),
    )  # fmt: skip
    def come(self, priority: Priority, tenant: str, seconds: float, due: float | None) -> None:
        at = None if due is None else self.model.clock.time + due
        self.requests.append(self.model.send(seconds, priority, tenant, due=at))

    @precondition(lambda self: any(one.error for one in self.requests))
    @rule(data=st.data())
    def come_again(self, data: st.DataObject) -> None:
        refused = data.draw(st.sampled_from([one for one in self.requests if one.error]))
        self.returned.append(self.model.send(1.0, refused.call.priority, refused.call.tenant, again=refused))
        self.requests.append(self.returned[-1])

    @precondition(lambda self: self.waiting or self.model.running)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        there = [one for one in self.requests if one.ended is None and one.error is None]
        data.draw(st.sampled_from(there)).leave()

    @rule(seconds=st.floats(0.0, 4.0))
    def time_passes(self, seconds: float) -> None:
        self.model.clock.run(self.model.clock.time + seconds)

    @rule(endpoint=st.integers(0, ENDPOINTS - 1), healthy=st.booleans())
    def health_changes(self, endpoint: int, healthy: bool) -> None:
        list(self.model.fleet.endpoints())[endpoint].healthy = healthy

    @invariant()
    def no_more_run_or_wait_than_may(self) -> None:
        self.model.clock.run(self.model.clock.time)  # what was put off until now
        assert self.model.most <= PER_ENDPOINT * ENDPOINTS
        assert len(self.waiting) <= (1 + len(Priority)) * QUEUE
        assert sum(one not in self.returned for one in self.waiting) <= QUEUE
        assert self.model.depth() == len(self.waiting)

    @invariant()
    def who_waits_waits_for_something(self) -> None:
        if self.waiting:
            assert self.model.running > 0
            for one in self.waiting:
                longest = max(PATIENCE, STARVED_RETURN) if one in self.returned else PATIENCE
                assert self.model.clock.time - one.sent <= longest

    @invariant()
    def less_urgent_requests_overtake_only_as_they_were_promised(self) -> None:
        for one in self.waiting:
            after = [o for o in self.requests if o.started is not None and o.started > one.sent]
            overtakers = [o for o in after if self._rank(o) > self._rank(one)]
            assert all(o in self.returned for o in overtakers)
            assert len(overtakers) <= 1 + len(after) / RESERVED

    @staticmethod
    def _rank(one: Request) -> int:
        assert one.call.priority is not None
        return RANK[one.call.priority]

    def teardown(self) -> None:
        self.model.clock.run(self.model.clock.time + 1000)
        assert not self.waiting
        assert (self.model.running, self.model.depth(), self.model.clock.timers) == (0, 0, 0)
        for one in self.requests:
            assert (one.ended is None) != (one.error is None)


Admitting.TestCase.settings = settings(max_examples=150, stateful_step_count=40)
TestAdmitting = Admitting.TestCase
