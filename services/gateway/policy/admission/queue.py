"""Who waits for one model: four classes, served strictly in their order, and shed strictly against it."""

from itertools import chain

from services.gateway.policy.admission.fairshare import FairShare, Flow
from services.gateway.policy.admission.ticket import Ticket
from services.gateway.registry import Priority

CLASSES = tuple(Priority)
"""The most urgent first; a class's rank is its index."""
RANKS = {priority: rank for rank, priority in enumerate(CLASSES)}

MOST_FLOWS = 10_000
"""Tenants of a class that are remembered without having anything to wait for."""


class Queue:
    def __init__(self) -> None:
        self._classes = tuple(FairShare() for _ in CLASSES)
        self._flows: tuple[dict[str, Flow], ...] = tuple({} for _ in CLASSES)
        """By tenant: as many as the key file has, or had."""
        self._told: tuple[dict[Flow, None], ...] = tuple({} for _ in CLASSES)
        """Those of whom some were told to return."""
        self.length = 0

    def flow(self, rank: int, tenant: str, weight: float) -> Flow:
        flow = self._flows[rank].get(tenant)
        if flow is None:
            self._forget_idle(rank)
            flow = self._flows[rank][tenant] = Flow(rank)
        flow.weight = weight
        return flow

    def push(self, ticket: Ticket) -> None:
        self._classes[ticket.flow.rank].push(ticket)
        self.length += 1

    def pop(self, cost: float) -> Ticket:
        """The next one, charged so many seconds. Raises StopIteration where nobody waits."""
        ticket = next(waiting for waiting in self._classes if waiting.length).pop(cost)
        self.length -= 1
        return ticket

    def remove(self, ticket: Ticket) -> None:
        self._classes[ticket.flow.rank].remove(ticket)
        self.length -= 1

    def ahead(self, flow: Flow) -> float:
        """About how many of those that wait go before a further request of this flow."""
        return sum(waiting.length for waiting in self._classes[: flow.rank]) + self._classes[flow.rank].ahead(flow)

    def share(self, flow: Flow, now: float) -> float:
        """The part of what its class gets that a flow has among those that wait or are told to return, as it now is."""
        told = self._told[flow.rank]
        for other in [other for other in told if not other.returns.expected(now)]:
            del told[other]
        told[flow] = None
        waiting = (other for other in self._classes[flow.rank].flows if other not in told)
        return flow.weight / sum(other.weight for other in chain(told, waiting))

    def _forget_idle(self, rank: int) -> None:
        flows = self._flows[rank]
        if len(flows) >= MOST_FLOWS:
            kept = {tenant: flow for tenant, flow in flows.items() if flow.waiting or flow in self._told[rank]}
            flows.clear()
            flows.update(kept)

    def rival(self, flow: Flow, came: float) -> Ticket | None:
        """Who gives way to a request of this flow in a full queue; None where nobody does.

        The newest of the least urgent class does. Within a class it is the newest of the tenant with most waiting for
        its weight, if that is more than this one's tenant would have. Who returns as told goes before those that came
        since.
        """
        for waiting in reversed(self._classes[flow.rank + 1 :]):
            fattest = waiting.fattest()
            if fattest is not None:
                return fattest.waiting[-1]
        fattest = self._classes[flow.rank].fattest()
        if fattest is None:
            return None
        load = (len(flow.waiting) + 1) / flow.weight
        if fattest is not flow and fattest.load > load:
            return fattest.waiting[-1]
        since = [last for last in (flow.waiting[-1:] + fattest.waiting[-1:]) if last.came > came]
        return since[0] if since and (since[0].flow is flow or fattest.load >= load) else None
