"""Carries a relayed stream over gRPC: server-sent events in, messages out.

The upstream's callbacks step the RPC's writes themselves, so a piece costs no task switch and its clock is read when
it has left. gRPC takes one write at a time: what comes meanwhile waits here, and from `HELD_BACK` bytes on the engine
is not read from until all of it is taken. So a slow reader slows its own stream alone, in bounded memory.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import grpc
from google.protobuf.message import Message

from services.common.errors import ClientGone, NaruError
from services.gateway.api.grpc.visit import Visit
from services.gateway.relay.gather import Whole, refusal
from services.gateway.relay.relay import Relay
from services.gateway.relay.sse import events, payload
from services.gateway.upstream.exchange import Headers

HELD_BACK = 64 * 2**10
"""Bytes of events that wait for a slow client before the engine is held back."""
Translate = Callable[[bytes], Message | None]
"""One event's data to its message; None where the event is no message. Raises NaruError."""


class StreamCarrier:
    relay: Relay
    chunks = None
    writes_lines = False

    def __init__(self, visit: Visit, translate: Translate, write_timeout: float) -> None:
        self._visit, self._translate, self._write_timeout = visit, translate, write_timeout
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()
        self._waiting: deque[Coroutine[Any, Any, None]] = deque()
        self._held = 0
        self._writing: Coroutine[Any, Any, None] | None = None
        self._began = 0.0
        """When the running write began, on the loop's clock."""
        self._ended = False
        self._failure: NaruError | None = None

    async def run(self) -> None:
        """Until the answer is complete. Raises NaruError where it can't be completed."""
        self._watch()
        try:
            await self._over
        finally:
            self._timer.cancel()
            for coroutine in self._waiting:
                coroutine.close()
            self._waiting.clear()

    # Carrier

    @property
    def flushed(self) -> bool:
        return self._writing is None

    def start(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - a stream begins with 200
        self._visit.name(headers)
        self._push(self._visit.context.send_initial_metadata(self._visit.metadata()), 0)

    def write(self, data: bytes) -> None:
        for event in events(data):
            self._put(payload(event))

    def end(self, data: bytes = b"") -> None:
        if data:
            self.write(data)
        self._ended = True
        self._settle()

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self._visit.name(headers)
        if status >= 400:
            self._fail(refusal(Whole(status, headers, body)))
            return
        self._put(body)
        self.end()

    def error(self, error: NaruError, headers: Headers) -> None:
        self._visit.name(headers)
        self._fail(error)

    def break_off(self, error: NaruError, event: bytes) -> None:  # noqa: ARG002 - gRPC says it as a status
        self._fail(error)

    # RPC

    def _put(self, data: bytes) -> None:
        try:
            message = self._translate(data)
        except NaruError as error:
            self._loop.call_soon(self.relay.abort, error)  # not now: the relay is in the middle of this event
            self._fail(error)
            return
        if message is not None:
            self._push(self._visit.context.write(message), len(data))

    def _push(self, write: Coroutine[Any, Any, None], size: int) -> None:
        if self._over.done():
            write.close()
        elif self._writing is None:
            self._begin(write)
        else:
            self._waiting.append(write)
            self._held += size
            if self._held > HELD_BACK:
                self.relay.pause()

    def _begin(self, write: Coroutine[Any, Any, None]) -> None:
        self._writing, self._began = write, self._loop.time()
        self._step(write)

    def _step(self, write: Coroutine[Any, Any, None]) -> None:
        """Run a write up to where it waits for gRPC, or to its end."""
        try:
            pending: asyncio.Future[None] = write.send(None)
        except StopIteration:
            self._written()
        except grpc.aio.BaseError as error:  # the client has gone
            self._writing = None
            if not self._over.done():
                self._over.set_exception(error)
        else:
            pending.add_done_callback(lambda _: self._step(write))

    def _written(self) -> None:
        self._writing = None
        if self._waiting:
            self._begin(self._waiting.popleft())
        else:
            self._held = 0
            self._settle()

    def _fail(self, error: NaruError) -> None:
        self._failure = self._failure or error
        self._settle()

    def _settle(self) -> None:
        """All that came has been taken: go on, or be done."""
        if self._writing is not None or self._over.done():
            return
        if self._failure is not None:
            self._over.set_exception(self._failure)
            return
        self.relay.resume()
        if self._ended:
            self._over.set_result(None)

    def _watch(self) -> None:
        """Give up a write that takes too long. A timer moved for every write would cost more than the write's share."""
        now = self._loop.time()
        if self._writing is None:
            self._began = now
        when = self._began + self._write_timeout
        if now >= when and not self._over.done():
            gone = ClientGone(f"the client left its answer unread for {self._write_timeout:g} s")
            self._over.set_exception(gone)
        self._timer = self._loop.call_at(max(when, now), self._watch)
