"""Dispatch: one request to an endpoint, and to further ones while that can still help.

Another endpoint is tried only while nothing of an answer has reached the client, the budget allows it, and the clock is
not the reason: after a timeout the next endpoint would be given the load that the first could not carry. An endpoint
that refused the connection never saw the request; one that died can at worst have begun work that its death ended.
"""

import asyncio
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from time import monotonic
from typing import Protocol

from services.common.errors import ConnectTimeout, NaruError, NoHealthyEndpoint, UpstreamError, UpstreamTimeout
from services.gateway.routing.attempt import Attempt
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import Hints
from services.gateway.routing.latency import RunningQuantile
from services.gateway.routing.resilience import Resilience
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers

RETRY_AFTER = 2
"""Seconds after which a client may ask again: health checks see a recovered endpoint sooner."""
LONGEST_BUSY = 5.0
"""Seconds that an endpoint which answered 429 is passed over by retries, whatever its `Retry-After` says."""


class Requester(Protocol):
    """Whose request it is. It gets `on_head` once per attempt, the data, then `on_end` or `on_fail` once."""

    committed: bool
    """Whether anything of an answer went to the client: from then on nothing is tried again from here."""

    def encode(self, endpoint: Endpoint) -> bytes:
        """The request's bytes for the endpoint that was chosen; `Dispatch.pool` is its model."""

    def restart(self, reason: str) -> None:
        """A further attempt begins, for what was wrong with the last one: whatever that one said is void."""

    def missing(self) -> UpstreamError | None:
        """The endpoint's answer has ended: what it lacks to be whole."""

    def on_head(self, status: int, headers: Headers) -> Callable[[bytes], None]:
        """Who takes the data that follows."""

    def on_end(self) -> None: ...

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """An unstreamed answer that came whole, instead of `on_head`, `on_data` and `on_end`."""

    def on_fail(self, error: NaruError) -> None: ...


class _Nobody:
    """Whose request a finished one is: so that no cycle of references keeps what it held until the collector comes."""

    committed = True

    def encode(self, endpoint: Endpoint) -> bytes:  # noqa: ARG002 - a requester's signature
        return b""

    def restart(self, reason: str) -> None:
        pass

    def missing(self) -> None:
        pass

    def on_head(self, status: int, headers: Headers) -> Callable[[bytes], None]:  # noqa: ARG002
        return self.on_data

    def on_data(self, data: bytes) -> None:
        pass

    def on_end(self) -> None:
        pass

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        pass

    def on_fail(self, error: NaruError) -> None:
        pass


NOBODY = _Nobody()


class Dispatch:
    """Carries a request to its answer. Whoever made it calls `end` when the answer is over."""

    def __init__(
        self, pools: Sequence[ModelPool], hints: Hints, requester: Requester, resilience: Resilience, *, streamed: bool
    ) -> None:
        """`pools`: the model that was asked for, then its fallbacks."""
        self.pool = pools[0]
        """The model that is asked at present."""
        self.endpoint: Endpoint | None = None
        """Where the request is, or went last."""
        self._pools, self._hints, self._streamed = pools, hints, streamed
        self._requester: Requester = requester
        self._resilience = resilience
        self._own = self.pool.resilience
        self._tried: tuple[Endpoint, ...] = ()
        self._left = resilience.retries
        self._attempt: Attempt | None = None
        self._second: Attempt | None = None
        """The hedge: the same request at another endpoint, until one of the two answers."""
        self._timer: asyncio.TimerHandle | None = None
        self._started = 0.0

    @property
    def exchange(self) -> Exchange | None:
        """The one under way."""
        return None if self._attempt is None else self._attempt.exchange

    @property
    def complete(self) -> bool:
        """Whether the data that is delivered is the answer's last."""
        return self._attempt is not None and self._attempt.exchange.complete

    def start(self) -> None:
        """Begin the first attempt. Raises NoHealthyEndpoint."""
        self._own.budget.requests += 1
        endpoint = self.pool.pick(self._hints, ())
        found = (self.pool, endpoint) if endpoint is not None else self._next(())
        if found is None:
            raise no_endpoint(self.pool.name, self._hints.version)
        self._begin(*found)
        if self._own.latency is not None:
            self._watch(self._own.latency)

    def cancel(self) -> None:
        for attempt in (self._attempt, self._second):
            if attempt is not None:
                attempt.cancel()
        self.end()

    def end(self) -> None:
        """Nothing more will come of it."""
        self._requester = NOBODY
        self._attempt = self._second = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sibling(self) -> Endpoint | None:
        """Another endpoint of the version that the request is at, not tried yet."""
        assert self.endpoint is not None
        return self.pool.pick(replace(self._hints, version=self.endpoint.version), self._tried)

    def carry_on(self, endpoint: Endpoint) -> None:
        """Send what the requester now encodes to this endpoint: the rest of an answer whose engine died."""
        self._begin(self.pool, endpoint)

    def _begin(self, pool: ModelPool, endpoint: Endpoint) -> None:
        if pool is not self.pool:
            self._resilience.metrics.fallbacks.labels(self.pool.name, pool.name).inc()
            self.pool, self._left = pool, self._resilience.retries
        self._attempt = self._at(endpoint)
        self._attempt.exchange.start()

    def _at(self, endpoint: Endpoint) -> Attempt:
        self.endpoint = endpoint
        self._tried += (endpoint,)
        limits = self.pool.resilience.limits_of(streamed=self._streamed)
        return Attempt(self, endpoint, self._requester.encode(endpoint), limits)

    def _next(self, passed_over: Collection[Endpoint]) -> tuple[ModelPool, Endpoint] | None:
        """An endpoint of the model that is asked, else of the first further one that has any."""
        if self._left >= 0:
            endpoint = self.pool.pick(self._hints, passed_over)
            if endpoint is not None:
                return self.pool, endpoint
        if self._hints.version is not None:
            return None  # a version was asked for: no other model has it
        for pool in self._pools[self._pools.index(self.pool) + 1 :]:
            endpoint = pool.pick(self._hints, self._tried)
            if endpoint is not None:
                return pool, endpoint
        return None

    # from the attempts

    def on_head(self, attempt: Attempt, status: int, headers: Headers) -> None:
        if self._second is not None and not self._decided(attempt, status):
            return
        attempt.exchange.deliver_to(self._requester.on_head(status, headers))

    def on_answer(self, attempt: Attempt, headers: Headers, body: bytes) -> None:
        if self._streamed or self._second is not None:
            self._take_apart(attempt, headers, body)
            return
        self._well(attempt)
        self._requester.on_answer(attempt.status, headers, body)

    def _take_apart(self, attempt: Attempt, headers: Headers, body: bytes) -> None:
        if self._second is not None and not self._decided(attempt, attempt.status):
            return
        self._requester.on_head(attempt.status, headers)(body)
        if self._attempt is attempt:  # nobody gave it up meanwhile
            self.on_end(attempt)

    def on_end(self, attempt: Attempt) -> None:
        if attempt.refused:
            self._refused(attempt)
            return
        missing = self._requester.missing()
        if missing is not None:
            self.on_fail(attempt, missing)
            return
        self._well(attempt)
        self._requester.on_end()

    def _well(self, attempt: Attempt) -> None:
        """The endpoint answered to the end."""
        if attempt.status < 500:
            attempt.endpoint.circuit.succeeded(probe=attempt.probe)
        else:
            self._judge(attempt, well=False)
        latency = self._own.latency
        if latency is not None and attempt.status < 400 and self.pool is self._pools[0]:
            latency.add(asyncio.get_running_loop().time() - self._started)
        self._attempt = None

    def on_fail(self, attempt: Attempt, error: UpstreamError) -> None:
        if attempt.exchange.refused and not _is_there(attempt, error):
            attempt.endpoint.healthy = False  # the next health check may find it back
        self._judge(attempt, well=False)
        if self._other_runs(attempt):
            return
        reason = "refused" if attempt.exchange.refused else "broken"
        if not isinstance(error, UpstreamTimeout) and self._retry(attempt, reason, self._tried):
            return
        self._requester.on_fail(_no_other(error) if attempt.exchange.refused else error)

    def _refused(self, attempt: Attempt) -> None:
        now = monotonic()
        passed_over: Collection[Endpoint] = self._tried
        if attempt.status == 429:
            attempt.endpoint.busy_until = now + min(retry_after(attempt.headers), LONGEST_BUSY)
            # Another one that said so a moment ago would only say it again.
            passed_over = {*passed_over, *(e for e in self.pool.endpoints if e.busy_until > now)}
        self._judge(attempt, well=attempt.status == 429)
        if self._other_runs(attempt) or self._retry(attempt, str(attempt.status), passed_over):
            return
        if self._requester.committed:
            authority = attempt.endpoint.authority
            self._requester.on_fail(UpstreamError(f"endpoint {authority} answered with status {attempt.status}"))
            return
        self._requester.on_head(attempt.status, attempt.headers)(attempt.body)
        self._requester.on_end()

    def _judge(self, attempt: Attempt, *, well: bool) -> None:
        if well:
            attempt.endpoint.circuit.succeeded(probe=attempt.probe)
        else:
            self._resilience.outliers.failed(attempt.endpoint, self.pool.endpoints, probe=attempt.probe)

    def _retry(self, failed: Attempt, reason: str, passed_over: Collection[Endpoint]) -> bool:
        """Try another endpoint, if there is one, and if one may be tried."""
        self._attempt = None
        if self._requester.committed:
            return False
        self._left -= 1
        found = self._next(passed_over)
        if found is None or not self._withdraw():
            return False
        self._resilience.metrics.retries.labels(self.pool.name, failed.endpoint.version, reason).inc()
        self._requester.restart(reason)
        self._begin(*found)
        return True

    def _withdraw(self) -> bool:
        allowed = self._own.budget.withdraw()
        if not allowed:
            self._resilience.metrics.budget_exhausted.labels(self._pools[0].name).inc()
        return allowed

    # hedging

    def _watch(self, latency: RunningQuantile) -> None:
        """Time the answer, and ask for it twice once it is slower than most."""
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        if latency.value is not None:
            self._timer = loop.call_later(latency.value, self._ask_twice)

    def _ask_twice(self) -> None:
        self._timer = None
        first = self._attempt
        if first is None or first.status or self._requester.committed:
            return
        endpoint = self.sibling()
        if endpoint is None or not self._withdraw():
            return
        self._second = self._at(endpoint)
        self._second.exchange.start()
        self.endpoint = first.endpoint

    def _decided(self, attempt: Attempt, status: int) -> bool:
        """One of the two answers: it is the one, unless it only says that it failed."""
        if status >= 500:
            attempt.exchange.cancel()
            self._judge(attempt, well=False)
            self._other_runs(attempt)
            return False
        other = self._attempt if attempt is self._second else self._second
        assert other is not None
        self._settle(attempt)
        other.cancel()
        return True

    def _other_runs(self, attempt: Attempt) -> bool:
        """Whether the same request is still under way elsewhere; from now on it is the only one."""
        if self._second is None:
            return False
        other = self._attempt if attempt is self._second else self._second
        assert other is not None
        self._settle(other)
        return True

    def _settle(self, attempt: Attempt) -> None:
        outcome = "won" if attempt is self._second else "lost"
        self._resilience.metrics.hedges.labels(self.pool.name, outcome).inc()
        self._attempt, self._second, self.endpoint = attempt, None, attempt.endpoint


def retry_after(headers: Headers) -> float:
    """Seconds that an answer asks to wait; 1 where it names no number."""
    value = next((value for name, value in headers if name == b"retry-after"), b"")
    return float(value) if value.isdigit() else 1.0


def no_endpoint(model: str, version: str | None = None) -> NoHealthyEndpoint:
    where = f"version {version!r} of model {model!r}" if version else f"model {model!r}"
    return NoHealthyEndpoint(
        f"{where} has no healthy endpoint at the moment; try again shortly", retry_after=RETRY_AFTER
    )


def _is_there(attempt: Attempt, error: UpstreamError) -> bool:
    """Whether an endpoint that took no connection in time has been answering others meanwhile."""
    return isinstance(error, ConnectTimeout) and attempt.endpoint.spoke_since(attempt.exchange.started)


def _no_other(error: UpstreamError) -> NoHealthyEndpoint:
    return NoHealthyEndpoint(f"{error.message}; no other endpoint is left, try again", retry_after=RETRY_AFTER)


def seeded(seed: int | None = None) -> random.Random:
    """The generator that draws versions and equals; it decides nothing secret."""
    return random.Random(seed)  # noqa: S311
