"""A visit: one RPC, from its metadata to its status. What every method of every service does is here."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NoReturn, Protocol, TypeAlias

import grpc

from services.common.errors import NaruError
from services.gateway.api.door import Admitted, Door, Order
from services.gateway.api.grpc import status
from services.gateway.api.heading import read_heading
from services.gateway.policy.deadline import pass_over
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyring import Principal
from services.gateway.relay.call import Call
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.gather import Gathered, Whole, refusal
from services.gateway.relay.relay import Relay
from services.gateway.routing.fleet import ModelPool
from services.gateway.upstream.exchange import Headers

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
TOLD = (b"x-naru-", b"x-ratelimit-")
"""Beginnings of the headers that travel as metadata."""
SLACK, COARSE = 0.05, 0.01
"""On the wire a deadline is rounded up, to a hundredth at the coarsest: a client's own clock rings so much earlier."""


class Surface(Protocol):
    """What HTTP's routes call too: `Operation`, `TaskSurface`."""

    def prepare(self, gate: Gate, principal: Principal, body: bytes) -> tuple[ModelPool, Order]: ...


class Visit:
    """One RPC."""

    def __init__(self, door: Door, context: Context, new_id: Callable[[], str]) -> None:
        self.door, self.context = door, context
        self.received = perf_counter()
        metadata = context.invocation_metadata() or ()
        self._heading = read_heading([(k.encode(), v.encode()) for k, v in metadata if isinstance(v, str)])
        self.request_id = self._heading.request_id or new_id()
        self.passed = self._heading.passed
        self.counted = False
        """A call began: its relay counts and logs how it ends."""
        self._answered_by: Headers = []

    def admit(self) -> Admitted:
        """Raises Draining, Unauthenticated."""
        heading = self._heading
        entered = perf_counter()
        principal = self.door.enter(heading.key)
        authenticated = perf_counter()
        remaining = self.context.time_remaining()
        return Admitted(
            principal, b"", self.received, self.request_id, heading.passed, heading.hints, heading.urgency,
            None if remaining is None else perf_counter() + remaining, heading.uncached,
            entered, authenticated,
        )  # fmt: skip

    async def ask(self, surface: Surface, body: Callable[[], bytes]) -> Whole:
        """A surface's whole answer. Raises NaruError, in the engine's words where the engine itself refused."""
        whole = await self.answer(self.call(surface, body))
        if whole.status >= 400:
            raise refusal(whole)
        return whole

    async def answer(self, call: Call) -> Whole:
        """A call's whole answer, a refusal of the engine's own too. Raises NaruError."""
        gathered = Gathered()
        with self.running(call, gathered) as relay:
            relay.begin()
            return await gathered.answer

    def call(self, surface: Surface, body: Callable[[], bytes]) -> Call:
        """Raises what the surface and the door refuse. `body` makes the request's JSON, once the caller may come in."""
        admitted = self.admit()
        pool, order = surface.prepare(self.door.gate, admitted.principal, body())
        return self.door.call(admitted, pool, order)

    @contextlib.contextmanager
    def running(self, call: Call, carrier: Carrier) -> Iterator[Relay]:
        """A call that lives as long as the context; whoever owns the carrier calls `begin`.

        The RPC's deadline and its cancellation end it.
        """
        relay = self.door.open(call, carrier)
        self.counted = True
        try:
            yield relay
        except asyncio.CancelledError:
            if call.due is not None and call.due - perf_counter() < SLACK + COARSE * (call.due - call.received):
                pass_over(relay)  # that is why
            raise
        finally:
            relay.leave()
            self.name(relay.headers())

    def name(self, headers: Headers) -> None:
        """Remember which model, version and endpoint answered, and what is left of the caller's limits."""
        self._answered_by = [(name, value) for name, value in headers if name.startswith(TOLD)]

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What an answer's metadata holds."""
        named = ((name.decode(), value.decode()) for name, value in self._answered_by)
        return (("x-request-id", self.request_id), *named)

    async def refuse(self, error: NaruError) -> NoReturn:
        trailing: list[tuple[str, str | bytes]] = [*self.metadata(), (status.DETAILS, status.details(error))]
        await self.context.abort(status.code(error), error.message, tuple(trailing))
        raise AssertionError("abort always raises")
