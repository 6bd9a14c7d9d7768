"""Carries a relayed stream over gRPC: server-sent events in, messages out.

The relay's callbacks only queue; the RPC's own coroutine writes. What a client does not take waits here, and from
`HELD_BACK` bytes on the engine is not read from until all of it is taken: a slow reader slows its own stream alone.
"""

import asyncio
from collections import deque
from collections.abc import Callable

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

    def __init__(self, visit: Visit, translate: Translate, write_timeout: float) -> None:
        self._visit, self._translate, self._write_timeout = visit, translate, write_timeout
        self._context, self._loop = visit.context, asyncio.get_running_loop()
        self._waiting: deque[Message] = deque()
        self._held = 0
        self._named = False
        self._writing = False
        self._ended = False
        self._failure: NaruError | None = None
        self._woken: asyncio.Future[None] | None = None

    # Carrier

    @property
    def flushed(self) -> bool:
        return not self._writing and not self._waiting

    def start(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - a stream begins with 200
        self._visit.name(headers)
        self._named = True
        self._wake()

    def write(self, data: bytes) -> None:
        for event in events(data):
            self._put(payload(event))

    def end(self) -> None:
        self._ended = True
        self._wake()

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

    async def run(self) -> None:
        """Write until the answer is complete. Raises NaruError where it can't be completed."""
        while True:
            if self._named:
                self._named = False
                await self._context.send_initial_metadata(self._visit.metadata())
            while self._waiting:
                await self._write(self._waiting.popleft())
            self._writing = False
            self._held = 0
            if self._failure is not None:
                self.relay.abort(self._failure)
                raise self._failure
            self.relay.resume()
            if self._ended:
                return
            self._woken = self._loop.create_future()
            await self._woken
            self._woken = None

    async def _write(self, message: Message) -> None:
        self._writing = True
        try:
            async with asyncio.timeout(self._write_timeout):
                await self._context.write(message)
        except TimeoutError:
            self._waiting.clear()
            raise ClientGone(f"the client left its answer unread for {self._write_timeout:g} s") from None

    def _put(self, data: bytes) -> None:
        try:
            message = self._translate(data)
        except NaruError as error:
            self._fail(error)
            return
        if message is None:
            return
        self._waiting.append(message)
        self._held += len(data)
        if self._held > HELD_BACK:
            self.relay.pause()
        self._wake()

    def _fail(self, error: NaruError) -> None:
        self._failure = self._failure or error
        self._wake()

    def _wake(self) -> None:
        if self._woken is not None and not self._woken.done():
            self._woken.set_result(None)
