"""Who waits for one model: four classes, served strictly in their order, and shed strictly against it.

One turn in 25 is set aside for those that were told to return and did, and whose class has no turn at present: what was
promised to them can't be taken away by more urgent requests altogether.
"""

from itertools import chain

from services.gateway.policy.admission.fairshare import FairShare, Flow, Tenant, VirtualTime
from services.gateway.policy.admission.rates import level
from services.gateway.policy.admission.ticket import Ticket
from services.gateway.registry import Priority

CLASSES = tuple(Priority)
"""The most urgent first; a class's rank is its index."""
RANKS = {priority: rank for rank, priority in enumerate(CLASSES)}
RESERVED = 25
"""Of so many turns, one goes to a promised request against the order of the classes."""
MOST_FLOWS = 10_000
"""Tenants of a class that are remembered without having anything to wait for."""


class Queue:
    def __init__(self) -> None:
        self._time = VirtualTime()
        self._classes = tuple(FairShare(self._time) for _ in CLASSES)
        self._tenants: dict[str, Tenant] = {}
        self._flows: tuple[dict[str, Flow], ...] = tuple({} for _ in CLASSES)
        """By tenant: as many as the key file has, or had."""
        self._told: tuple[dict[Flow, None], ...] = tuple({} for _ in CLASSES)
        """Those of whom some were told to return."""
        self._promised: dict[Ticket, None] = {}
        self._reserved: dict[Ticket, None] = {}
        """Who came back as told, in the order in which they did: and of these, those with a turn of their own."""
        self._ordered = 0
        """Turns since the last one against the order."""
        self.length = 0

    def promised(self, rank: int) -> int:
        """How many of a class wait that came back as told; they take no room from others."""
        return self._classes[rank].promised

    @property
    def newcomers(self) -> int:
        return self.length - len(self._promised)

    def flow(self, rank: int, name: str, weight: float) -> Flow:
        flow = self._flows[rank].get(name)
        if flow is None:
            self._forget_idle(rank)
            flow = self._flows[rank][name] = Flow(rank, self._tenants.setdefault(name, Tenant()))
        flow.tenant.weight = weight
        return flow

    def push(self, ticket: Ticket) -> None:
        self._classes[ticket.flow.rank].push(ticket)
        self.length += 1
        if ticket.promised:
            self._promised[ticket] = None
        if ticket.promise is not None and ticket.promise.reserved:
            self._reserved[ticket] = None

    def pop(self, cost: float) -> tuple[Ticket, bool]:
        """The next one, charged so many seconds; whether it is its turn by the order of the classes. Raises
        StopIteration where nobody waits."""
        first = next(rank for rank, waiting in enumerate(self._classes) if waiting.length)
        self._ordered += 1
        kept = None
        if self._promised and self._ordered >= RESERVED:
            back = chain(self._reserved, self._promised)
            kept = next((ticket for ticket in back if ticket.flow.rank > first), None)
        if kept is not None:
            self._ordered = 0
        ticket = self._classes[first].next() if kept is None else kept
        self._time.charge(ticket.flow.tenant, cost)
        self.remove(ticket)
        return ticket, kept is None

    def remove(self, ticket: Ticket) -> None:
        self._classes[ticket.flow.rank].remove(ticket)
        self.length -= 1
        self._promised.pop(ticket, None)
        self._reserved.pop(ticket, None)

    def ahead(self, flow: Flow, cost: float) -> float:
        """About how many of those that wait go before a further request of this flow."""
        more_urgent = sum(waiting.length for waiting in self._classes[: flow.rank])
        return more_urgent + self._classes[flow.rank].ahead(flow, cost)

    def shares(self, flow: Flow, turns: int, left: float, now: float) -> tuple[float, float]:
        """A flow's share of what its class gets, which is this part of the model, and its share by weight alone.
        Those count that wait or are told to return."""
        told = self._told[flow.rank]
        for other in [other for other in told if not other.returns.expected(now)]:
            del told[other]
        told[flow] = None
        there = list(chain(told, (other for other in self._classes[flow.rank].flows if other not in told)))
        by_weight = flow.tenant.weight / sum(other.tenant.weight for other in there)
        if not flow.rank or len(there) == 1:
            return by_weight, by_weight  # no class above counts, or there is nobody to share with
        if left <= 0.0:
            return 0.0, by_weight
        at = level(left, [(other.tenant.weight, other.above(turns)) for other in there])
        return max(0.0, at * flow.tenant.weight - flow.above(turns)) / left, by_weight

    def rival(self, flow: Flow) -> Ticket | None:
        """Who gives way to a newcomer of this flow in a full queue; None where nobody does.

        The newest of the least urgent class does. Within a class it is the newest of the tenant with most waiting for
        its weight, if that is more than this one's tenant would have. Who came back as told gives way to nobody.
        """
        for waiting in reversed(self._classes[flow.rank + 1 :]):
            fattest = waiting.fattest()
            if fattest is not None:
                return fattest.newest
        fattest = self._classes[flow.rank].fattest()
        load = (flow.newcomers + 1) / flow.tenant.weight
        return fattest.newest if fattest is not None and fattest is not flow and fattest.load > load else None

    def _forget_idle(self, rank: int) -> None:
        flows = self._flows[rank]
        if len(flows) >= MOST_FLOWS:
            kept = {name: flow for name, flow in flows.items() if flow.waiting or flow in self._told[rank]}
            flows.clear()
            flows.update(kept)
            known = {name for flows in self._flows for name in flows}
            self._tenants = {name: tenant for name, tenant in self._tenants.items() if name in known}
