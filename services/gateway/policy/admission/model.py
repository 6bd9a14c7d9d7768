"""Admission to one model: so many run, so many wait, the rest is refused at once.

Whoever leaves starts the next one: nothing polls, and a request that meets a free place costs a count and a look at the
clock, no object, task or timer. With no healthy endpoint none may run: where the model is one that is started for its
requests, they wait for its first.
"""

from functools import partial
from math import inf

from services.common.errors import ActivationTimeout, DeadlineExceeded, NaruError, Saturated
from services.gateway.metrics import Metrics
from services.gateway.policy.admission.activation import Activation
from services.gateway.policy.admission.clock import Clock
from services.gateway.policy.admission.fairshare import Flow
from services.gateway.policy.admission.queue import CLASSES, RANKS, RESERVED, Queue
from services.gateway.policy.admission.rates import Arrivals, Service, Turns
from services.gateway.policy.admission.ticket import Ticket, identity
from services.gateway.relay.admission import Applicant, Place
from services.gateway.relay.call import Call
from services.gateway.routing.fleet import ModelPool

RECOUNT = 0.25
"""Seconds for which the number of healthy endpoints is taken as known."""
STARVED_RETURN = 60.0
"""Seconds after which a more urgent load may be over, for a class that it leaves nothing."""
PACE = 0.9
"""Of the turns that a class gets, the share that is promised to those told to return."""


class ModelAdmission:
    """It is the place, too, of every call that did not have to wait."""

    running = True

    def __init__(self, pool: ModelPool, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._now = clock.now
        now = clock.now()
        self._service = Service(now)
        self._turns = Turns(len(CLASSES))
        self._arrivals = Arrivals(len(CLASSES))
        self._queue = Queue()
        self._activation = Activation()
        self._depth = [metrics.queue_depth.labels(pool.name, priority) for priority in CLASSES]
        self._shed = metrics.shed
        self.use(pool)

    def use(self, pool: ModelPool) -> None:
        """From now on this one's settings count, for what waits already too."""
        self._pool, self._settings, self._on_demand = pool, pool.entry.admission, pool.entry.activation
        self.recount()

    def recount(self) -> None:
        """Endpoints came, went or changed."""
        now = self._now()
        self._count(now)
        if self._queue.length:
            self._start_waiting(now)

    def release(self) -> None:
        """Nothing limits the model any more, or it is gone: whatever waits is let go."""
        self._limit, self._counted = inf, inf
        self._start_waiting(self._now())

    @property
    def on_demand(self) -> bool:
        """Whether it is started for its requests, which then wait for it."""
        return self._on_demand is not None

    @property
    def activating(self) -> bool:
        """Whether it is wanted and has no healthy endpoint."""
        return self._on_demand is not None and self._activation.pending(self._now(), self._on_demand.timeout)

    # from the relays

    def enter(self, call: Call, applicant: Applicant) -> Place:
        """Raises Saturated, DeadlineExceeded."""
        now = self._now()
        if now - self._counted > RECOUNT:
            self._count(now)
        service = self._service
        if service.running < self._limit and not self._queue.length:
            service.begin(now)
            return self
        return self._wait(call, applicant, now)

    def hold(self, call: Call, applicant: Applicant) -> Place | None:
        """A place for a call that found no endpoint: the line, if there is nothing but to wait. Raises Saturated."""
        now = self._now()
        self._count(now)
        return None if self._limit else self._wait(call, applicant, now, call.received)

    def leave(self) -> None:
        """A call that did not have to wait is over."""
        now = self._now()
        self._service.end(now)
        if self._queue.length:
            self._start_waiting(now)

    def takes(self, call: Call) -> bool:
        """Whether there is room for it, to run or to wait."""
        now = self._now()
        if now - self._counted > RECOUNT:
            self._count(now)
        if self._queue.newcomers < self._bound or self._service.running < self._limit:
            return True
        return self._queue.rival(self._flow(call)) is not None

    def room(self) -> float:
        """Requests that may wait; a further one is refused."""
        now = self._now()
        if now - self._counted > RECOUNT:
            self._count(now)
        return self._bound

    # from the tickets

    def withdraw(self, ticket: Ticket) -> None:
        self._remove(ticket)

    def vacate(self, ticket: Ticket) -> None:
        ticket.flow.tenant.debt += self._now() - ticket.began - ticket.charged
        self.leave()

    # the queue

    @property
    def _bound(self) -> float:
        if self._on_demand is not None and (not self._limit or self._settings is None):
            return self._on_demand.queue
        assert self._settings is not None
        return 2 * self._limit if self._settings.queue is None else self._settings.queue

    def _count(self, now: float) -> None:
        """How many may run. With no healthy endpoint, none of a model that is started for its requests; one of any
        other: it is not kept waiting for its 503."""
        shadows = self._pool.shadows
        healthy = sum(endpoint.healthy for endpoint in self._pool.endpoints if endpoint.version not in shadows)
        self._limit = self._room(max(1, healthy)) if healthy or self._on_demand is None else 0
        self._counted = now
        if healthy and self._on_demand is not None:
            self._activation.ready(now, self._on_demand.timeout)

    def _room(self, endpoints: int) -> float:
        settings = self._settings
        if settings is None:
            return inf
        return settings.concurrency or (settings.per_endpoint or 1) * endpoints

    def _wait(self, call: Call, applicant: Applicant, now: float, since: float | None = None) -> Ticket:
        """`since`: when it began to wait, if not now."""
        flow, key = self._flow(call), identity(call)
        self._arrivals.came(flow.rank, now)
        ticket = Ticket(self, applicant, flow, key, now if since is None else since)
        ticket.patience = self._patience
        if since is None:
            self._recall(ticket, now)
        if self._limit:
            self._check_hope(call, ticket, now)
        elif self._on_demand is not None:
            self._activation.want(now, self._on_demand.timeout)
        if not ticket.promised and self._queue.newcomers >= self._bound:
            self._make_room(ticket)
        self._queue.push(ticket)
        self._depth[flow.rank].value += 1
        ticket.timer = self._clock.later(max(0.0, ticket.due - now), partial(self._expire, ticket))
        self._start_waiting(now)
        return ticket

    @property
    def _patience(self) -> float:
        """Seconds that who comes now may wait."""
        if self._on_demand is not None and (not self._limit or self._settings is None):
            return self._on_demand.timeout
        assert self._settings is not None
        return self._settings.patience

    def _recall(self, ticket: Ticket, now: float) -> None:
        """Who comes back as told has its old place in line, and room of its own; in each class there is as much of it
        as for newcomers."""
        promise = ticket.promise = ticket.flow.returns.redeem(ticket.key, now)
        if promise is not None:
            ticket.came = promise.came
            if promise.after < STARVED_RETURN:  # a turn was in sight, and can't be far
                ticket.patience = max(ticket.patience, promise.after)
            ticket.promised = promise.reserved or self._queue.promised(ticket.flow.rank) < self._bound

    def _flow(self, call: Call) -> Flow:
        rank = RANKS[call.priority or call.pool.role.priority]
        return self._queue.flow(rank, call.tenant, call.weight)

    def _check_hope(self, call: Call, ticket: Ticket, now: float) -> None:
        """Raises DeadlineExceeded, Saturated where it would wait in vain even if nothing more urgent came."""
        if not self._service.known:
            return
        took = self._service.seconds(now)
        wait = (self._queue.ahead(ticket.flow, took) + 1) * took / self._limit
        if call.due is not None and now + wait + took > call.due:
            self._count_shed(ticket, "deadline")
            raise DeadlineExceeded(f"the deadline is too near: about {wait:.1f} s of waiting and {took:.1f} s of work")
        if wait > ticket.patience and not ticket.promised:
            raise self._refusal(ticket, "patience", "too many requests wait before this one")

    def _make_room(self, ticket: Ticket) -> None:
        """Raises Saturated."""
        rival = self._queue.rival(ticket.flow)
        if rival is None:
            raise self._refusal(ticket, "full", "as many requests wait as may")
        self._remove(rival)
        self._clock.soon(partial(rival.refuse(), self._refusal(rival, "displaced", "another request took its place")))

    def _expire(self, ticket: Ticket) -> None:
        # What began to wait for its turn may wait for an endpoint by now, which takes longer.
        ticket.patience = max(ticket.patience, self._patience if not self._limit else 0.0)
        left = ticket.due - self._now()
        if left > 0:
            ticket.timer = self._clock.later(left, partial(self._expire, ticket))
            return
        self._remove(ticket)
        ticket.refuse()(self._late(ticket))

    def _start_waiting(self, now: float) -> None:
        if now - self._counted > RECOUNT:
            self._count(now)
        queue, service = self._queue, self._service
        while queue.length and service.running < self._limit:
            charged = service.seconds(now)
            ticket, in_order = queue.pop(charged)
            rank = ticket.flow.rank
            self._depth[rank].value -= 1
            if in_order:
                self._turns.taken(rank)
                ticket.flow.tenant.parts[rank].taken(self._turns.number)
            service.begin(now)
            ticket.dispatch(now, charged)
            self._clock.soon(ticket.go)

    def _remove(self, ticket: Ticket) -> None:
        self._queue.remove(ticket)
        self._depth[ticket.flow.rank].value -= 1

    # refusals

    def _late(self, ticket: Ticket) -> NaruError:
        if self._limit:
            return self._refusal(ticket, "patience", f"it waited {ticket.patience:g} s in vain")
        self._count_shed(ticket, "activation")
        after = self._return(ticket)
        return ActivationTimeout(
            f"model {self._pool.name!r} did not start within {ticket.patience:g} s; try again in {after} s",
            retry_after=after,
        )

    def _refusal(self, ticket: Ticket, reason: str, why: str) -> Saturated:
        self._count_shed(ticket, reason)
        after = self._return(ticket)
        return Saturated(f"model {self._pool.name!r} is busy: {why}; try again in {after} s", retry_after=after)

    def _count_shed(self, ticket: Ticket, reason: str) -> None:
        self._shed.labels(self._pool.name, CLASSES[ticket.flow.rank], reason).value += 1

    def _return(self, ticket: Ticket) -> int:
        """Seconds after which it will be taken, as far as the last seconds tell."""
        now, flow = self._now(), ticket.flow
        told = 0 if ticket.promise is None else ticket.promise.after
        start = now
        if self._on_demand is not None and not self._limit:
            start += self._activation.left(now, self._on_demand.timeout)
        if self._settings is None:
            return flow.returns.promise(ticket.key, ticket.came, now, start, inf)
        rate = PACE * (self._limit or self._room(1)) / self._service.seconds(now)
        left = 1.0 - max(self._turns.above(flow.rank), self._arrivals.above(flow.rank, now) / rate)
        share, by_weight = self._queue.shares(flow, self._turns.number, left, now)
        pace, reserved = left * share * rate, by_weight * rate / (RESERVED * (len(CLASSES) - 1))
        if pace > reserved:
            # That nobody leaves within twice the mean time between two is rare enough.
            earliest = start + max(2 / (left * rate), 2 * told)
            return flow.returns.promise(ticket.key, ticket.came, now, earliest, pace)
        if self._limit and not told:
            after = flow.returns.reserve(ticket.key, ticket.came, now, reserved, STARVED_RETURN)
            if after is not None:
                return after
        earliest, pace = start + max(STARVED_RETURN, 2 * told), by_weight * rate / len(CLASSES)
        return flow.returns.guess(ticket.key, ticket.came, now, earliest, pace)
