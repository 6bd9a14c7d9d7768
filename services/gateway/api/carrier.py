"""Carries a relay over ASGI.

The upstream's callbacks step `send` themselves, so a piece costs no task switch and its clock is read when it has
left. `send` normally finishes at once; where the client is slow it suspends: reading from the upstream then stops,
and a task carries that `send` on.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from services.common.errors import NaruError
from services.gateway.api.errors import error_body, error_headers
from services.gateway.relay.relay import Relay
from services.gateway.upstream.exchange import Headers

ABORT = "naru.abort"
"""The ASGI extension with which the server closes a connection whose client does not read."""


PIECE = 256 * 2**10
"""Bytes of a whole answer that are handed to the server at once."""


class RelayResponse(Response):
    """A response whose content comes from an endpoint."""

    def __init__(self, relay: Callable[["AsgiCarrier"], Relay], write_timeout: float) -> None:
        super().__init__()
        self._relay, self._write_timeout = relay, write_timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        carrier = AsgiCarrier(scope, send, self._write_timeout)
        relay = carrier.relay = self._relay(carrier)
        try:
            relay.begin()
            # `http.disconnect` comes when the client has gone, and when all is sent.
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            relay.leave()
            carrier.close()


class AsgiCarrier:
    relay: Relay
    chunks = None
    writes_lines = False

    def __init__(self, scope: Scope, send: Send, write_timeout: float) -> None:
        self._path: str = scope["path"]
        self._abort: Callable[[], None] | None = scope.get("extensions", {}).get(ABORT)
        self._send, self._write_timeout = send, write_timeout
        self._waiting: list[Message] = []
        self._draining: asyncio.Task[None] | None = None

    # Carrier

    @property
    def flushed(self) -> bool:
        return self._draining is None

    def start(self, status: int, headers: Headers) -> None:
        self._push({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> None:
        self._push({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        self._push({"type": "http.response.body", "body": data, "more_body": False})

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self.start(status, [*headers, (b"content-length", b"%d" % len(body))])
        # In pieces: the server takes one of any size at once, and a client that leaves in the middle would go unseen.
        for begin in range(0, len(body) - PIECE, PIECE):
            self.write(body[begin : begin + PIECE])
        rest = (len(body) - 1) // PIECE * PIECE if body else 0
        self._push({"type": "http.response.body", "body": body[rest:], "more_body": False})

    def error(self, error: NaruError, headers: Headers) -> None:
        extra = [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
        kind = (b"content-type", b"application/json")
        self.whole(error.http_status, [kind, *headers, *extra], error_body(error, self._path))

    def break_off(self, error: NaruError, event: bytes) -> None:  # noqa: ARG002 - the event says it all here
        self.end(event)

    # ASGI

    def _push(self, message: Message) -> None:
        if self._draining is not None:
            self._waiting.append(message)
            return
        coroutine: Coroutine[Any, Any, None] = self._send(message)  # type: ignore[assignment] # ASGI says Awaitable
        try:
            pending = coroutine.send(None)
        except StopIteration:
            return
        self.relay.pause()
        self._draining = asyncio.get_running_loop().create_task(self._drain(coroutine, pending))

    async def _drain(self, coroutine: Coroutine[Any, Any, None], pending: object) -> None:
        try:
            async with asyncio.timeout(self._write_timeout):
                await _carry_on(coroutine, pending)
            while self._waiting:
                message = self._waiting.pop(0)
                async with asyncio.timeout(self._write_timeout):
                    await self._send(message)
        except TimeoutError:
            self.relay.leave()
            if self._abort is not None:
                self._abort()
            return
        self._draining = None
        self.relay.resume()

    def close(self) -> None:
        if self._draining is not None:
            self._draining.cancel()


@types.coroutine
def _carry_on(coroutine: Coroutine[Any, Any, None], pending: object) -> Generator[object, object, None]:
    """Finish inside a task a coroutine that was first stepped outside one."""
    sent: object = None
    while True:
        thrown: BaseException | None = None
        try:
            sent = yield pending
        except BaseException as error:  # noqa: BLE001 - whatever is thrown in belongs to the inner coroutine
            thrown = error
        try:
            pending = coroutine.send(sent) if thrown is None else coroutine.throw(thrown)
        except StopIteration:
            return
