"""Weighted fair share between tenants, over all classes together.

Start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queueing", SIGCOMM 1996) for a server that runs many
requests at once (SFQ(D): Jin, Chase, Kaur, "Interposed Proportional Sharing for a Storage Service Utility",
SIGMETRICS 2004). What is shared is time at the model, which nobody knows beforehand: a request is charged the mean when
it starts and the difference when it ends, as the Virtual Token Counter charges tokens (Sheng et al., "Fairness in
Serving Large Language Models", OSDI 2024); who begins to wait is lifted to the least of those that do, as there.

Classes are served strictly in their order; a tenant has one account for all of its classes, so where they compete, what
it had in more urgent ones counts.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable
from operator import attrgetter
from typing import TYPE_CHECKING

from services.gateway.policy.admission.rates import Part
from services.gateway.policy.admission.returns import Returns
from services.gateway.registry import Priority

if TYPE_CHECKING:
    from services.gateway.policy.admission.ticket import Ticket

FARTHEST = 64
"""Of its own requests by which a tenant's account is ahead at most: what it had more than its share of is forgotten
after a while, and does not shut it out for hours."""

ABSENT = 32
"""Turns for which a tenant may have nothing that waits and keep its place among the others: who asks for more than its
share has such gaps too."""


class Tenant:
    """One tenant's account with one model."""

    __slots__ = ("debt", "left", "parts", "start", "waiting", "weight")

    def __init__(self) -> None:
        self.weight = 1.0
        self.parts = tuple(Part() for _ in Priority)
        """Of the model's turns, by class."""
        self.start = 0.0
        """The start tag: seconds of service, over the weight, that it has had when its next request starts."""
        self.debt = 0.0
        """Seconds by which the requests that ended took longer than they were charged."""
        self.waiting = self.left = 0
        """Requests; and the number of the turn since which there is none."""


class VirtualTime:
    """Who waits for the model, and how far the least served of them is. Work and memory grow with their number."""

    def __init__(self) -> None:
        self._there: dict[Tenant, None] = {}
        """Those that wait, or did some turns ago."""
        self._turns = 0
        self._farthest = 0.0

    def join(self, tenant: Tenant) -> None:
        """One more of its requests waits."""
        if not tenant.waiting:
            self._forget()
            if tenant not in self._there:
                # Time in which a tenant asked for nothing gives it no claim to more later.
                least = min(map(_START, self._there), default=self._farthest)
                tenant.start = max(least, tenant.start + tenant.debt / tenant.weight)
                tenant.debt = 0.0
                self._there[tenant] = None
        tenant.waiting += 1

    def leave(self, tenant: Tenant) -> None:
        tenant.waiting -= 1
        tenant.left = self._turns

    def charge(self, tenant: Tenant, cost: float) -> None:
        """One that waits has its turn, and is charged so many seconds."""
        self._turns += 1
        self._farthest = max(self._farthest, tenant.start)
        most = min(map(_START, self._there)) + FARTHEST * cost / tenant.weight
        tenant.start = min(tenant.start + (cost + tenant.debt) / tenant.weight, most)
        tenant.debt = 0.0

    def _forget(self) -> None:
        for tenant in [one for one in self._there if not one.waiting and self._turns - one.left > ABSENT]:
            del self._there[tenant]


class Flow:
    """One tenant's requests in one class."""

    __slots__ = ("newcomers", "rank", "returns", "tenant", "waiting")

    def __init__(self, rank: int, tenant: Tenant) -> None:
        self.rank, self.tenant = rank, tenant
        self.waiting: list[Ticket] = []
        """In the order in which they first came."""
        self.newcomers = 0
        """Of these, those that were promised nothing."""
        self.returns = Returns()

    def above(self, turns: int) -> float:
        """The part of the model's turns, after so many of them, that its tenant has in more urgent classes."""
        return sum(part.after(turns) for part in self.tenant.parts[: self.rank])

    @property
    def load(self) -> float:
        """Waiting requests, of those that may be dropped, for each unit of weight."""
        return self.newcomers / self.tenant.weight

    @property
    def newest(self) -> "Ticket":
        """Of those that may be dropped."""
        return next(ticket for ticket in reversed(self.waiting) if not ticket.promised)


class FairShare:
    """One class: who of its tenants is next."""

    def __init__(self, time: VirtualTime) -> None:
        self.length = self.promised = 0
        """Requests that wait, and of these those that came back as told."""
        self._backlogged: dict[Flow, None] = {}
        self._time = time

    @property
    def flows(self) -> Iterable[Flow]:
        """Those that have requests waiting."""
        return self._backlogged

    def push(self, ticket: "Ticket") -> None:
        flow = ticket.flow
        self._backlogged[flow] = None
        self._time.join(flow.tenant)
        insort(flow.waiting, ticket, key=_CAME)
        flow.newcomers += not ticket.promised
        self.promised += ticket.promised
        self.length += 1

    def next(self) -> "Ticket":
        """Who came back as told, at the pace of its tenant's share, before all others."""
        return min(self._backlogged, key=_turn).waiting[0]

    def remove(self, ticket: "Ticket") -> None:
        flow = ticket.flow
        at = bisect_left(flow.waiting, ticket.came, key=_CAME)
        del flow.waiting[flow.waiting.index(ticket, at)]
        flow.newcomers -= not ticket.promised
        self.promised -= ticket.promised
        self.length -= 1
        if not flow.waiting:
            del self._backlogged[flow]
        self._time.leave(flow.tenant)

    def fattest(self) -> Flow | None:
        """The flow with most waiting for its weight: the one to drop from, as in RFC 8290, 4.1 (FQ-CoDel)."""
        return max((flow for flow in self._backlogged if flow.newcomers), key=_LOAD, default=None)

    def ahead(self, flow: Flow, cost: float) -> float:
        """About how many requests of the class, of so many seconds each, go before a further one of this flow."""
        tenant, before = flow.tenant, float(len(flow.waiting))
        tag = tenant.start + before * cost / tenant.weight
        for other in self._backlogged:
            if other is not flow:
                turns = (tag - other.tenant.start) * other.tenant.weight / cost + 1
                before += min(max(turns, 0.0), len(other.waiting))
        return before


_START, _LOAD, _CAME = attrgetter("start"), attrgetter("load"), attrgetter("came")


def _turn(flow: Flow) -> tuple[bool, float]:
    return not flow.waiting[0].promised, flow.tenant.start
