"""Weighted fair share between the tenants of one class.

Start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996) for a server that runs many
requests at once (SFQ(D): Jin, Chase, Kaur, "Interposed Proportional Sharing for a Storage Service Utility",
SIGMETRICS 2004). What is shared is time at the model, which nobody knows beforehand: a request is charged the mean when
it starts and the difference when it ends, as the Virtual Token Counter charges tokens (Sheng et al., "Fairness in
Serving Large Language Models", OSDI 2024).
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from services.gateway.policy.admission.returns import Returns

if TYPE_CHECKING:
    from services.gateway.policy.admission.ticket import Ticket


class Flow:
    """One tenant's requests in one class."""

    __slots__ = ("debt", "rank", "returns", "start", "waiting", "weight")

    def __init__(self, rank: int) -> None:
        self.rank, self.weight = rank, 1.0
        self.waiting: list[Ticket] = []
        """In the order in which they first came."""
        self.start = 0.0
        """The start tag: seconds of service, over the weight, that the tenant has had when its next request starts."""
        self.debt = 0.0
        """Seconds by which the requests that ended took longer than they were charged."""
        self.returns = Returns()

    @property
    def load(self) -> float:
        """Waiting requests for each unit of weight."""
        return len(self.waiting) / self.weight


class FairShare:
    """One class: who of its tenants is next. Work and memory grow with the tenants that have requests waiting."""

    def __init__(self) -> None:
        self.length = 0
        self._backlogged: dict[Flow, None] = {}
        self._virtual = 0.0
        """The start tag of the request that was dispatched last."""

    @property
    def flows(self) -> Iterable[Flow]:
        """Those that have requests waiting."""
        return self._backlogged

    def push(self, ticket: "Ticket") -> None:
        flow = ticket.flow
        if not flow.waiting:
            self._backlogged[flow] = None
            # Time in which a tenant asked for nothing gives it no claim to more later.
            flow.start = max(self._virtual, flow.start + flow.debt / flow.weight)
            flow.debt = 0.0
        insort(flow.waiting, ticket, key=_CAME)
        self.length += 1

    def pop(self, cost: float) -> "Ticket":
        """The next one, charged so many seconds."""
        flow = min(self._backlogged, key=_START)
        ticket = flow.waiting[0]
        self.remove(ticket)
        self._virtual = max(self._virtual, flow.start)
        flow.start += (cost + flow.debt) / flow.weight
        flow.debt = 0.0
        return ticket

    def remove(self, ticket: "Ticket") -> None:
        flow = ticket.flow
        at = bisect_left(flow.waiting, ticket.came, key=_CAME)
        del flow.waiting[flow.waiting.index(ticket, at)]
        self.length -= 1
        if not flow.waiting:
            del self._backlogged[flow]

    def fattest(self) -> Flow | None:
        """The flow with most waiting for its weight: the one to drop from, as in RFC 8290, 4.1 (FQ-CoDel)."""
        return max(self._backlogged, key=_LOAD, default=None)

    def ahead(self, flow: Flow) -> float:
        """About how many requests of the class go before a further one of this flow."""
        turn = (len(flow.waiting) + 1) / flow.weight
        others = sum(min(len(other.waiting), turn * other.weight) for other in self._backlogged if other is not flow)
        return others + len(flow.waiting)


_START, _LOAD, _CAME = attrgetter("start"), attrgetter("load"), attrgetter("came")
