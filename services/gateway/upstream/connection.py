"""HTTP/1.1 connections to endpoints (RFC 9112): kept alive, one exchange at a time on each, callbacks instead of tasks.

The parser is httptools (llhttp). What an answer brings goes straight from the socket's callback to the exchange's
sink; see docs/decisions for why this is not a general HTTP client.
"""

import asyncio
from typing import TYPE_CHECKING, cast

import httptools

from services.common.errors import UpstreamError
from services.gateway.upstream.endpoint import Endpoint

if TYPE_CHECKING:
    from services.gateway.upstream.exchange import Exchange

MAX_HEAD = 64 * 2**10
"""Bytes of status line and headers accepted from an endpoint."""


class Connection(asyncio.Protocol):
    """Idle in its endpoint's list, or carrying one exchange."""

    transport: asyncio.Transport

    def __init__(self, endpoint: Endpoint, keep_alive: float) -> None:
        self.endpoint = endpoint
        self.keep_alive = keep_alive
        self.exchange: Exchange | None = None
        self.uses = 0
        self._parser = httptools.HttpResponseParser(self)
        self._expiry: asyncio.TimerHandle | None = None
        self._reset()

    def _reset(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._body: list[bytes] = []
        self._framed = False
        self._answered = False
        self._complete = False
        self._reusable = False
        self._surplus = False

    def carry(self, exchange: "Exchange") -> None:
        """Send the exchange's request; its answer goes to the exchange."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._reset()
        self.uses += 1
        self.exchange = exchange
        self.transport.write(exchange.request)

    def release(self) -> None:
        """The exchange was given up: an answer on its way must not meet the next one."""
        self.exchange = None
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:  # an idle connection has nothing to say
            self.transport.abort()
            return
        exchange.touched = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, httptools.HttpParserCallbackError) as error:
            self._fail(f"sent a malformed answer ({type(error).__name__})")
            return
        if not self._answered and self._head_size + len(data) > MAX_HEAD:
            self._fail("sent too large a head")
            return
        if self._body:
            body, self._body = self._body, []
            exchange.on_data(body[0] if len(body) == 1 else b"".join(body))
        if self._complete and self.exchange is exchange:
            self._finish()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.endpoint.idle:
            self.endpoint.idle.remove(self)
        if self._expiry is not None:
            self._expiry.cancel()
        exchange, self.exchange = self.exchange, None
        if exchange is None:
            return
        if self._answered and not self._framed and exc is None:
            exchange.on_end()  # RFC 9112, 6.3: without framing the body ends where the connection does
        else:
            what = "closed the connection" if exc is None else "reset the connection"
            exchange.on_fail(UpstreamError(f"endpoint {self.endpoint.authority} {what} before its answer was complete"))

    # httptools

    def on_message_begin(self) -> None:
        if self._complete:
            self._surplus = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:
            return
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self._framed = True
        self._headers.append((name, value))
        self._head_size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if self._complete:
            return
        if status < 200:  # an interim answer: the final one follows
            self._headers, self._framed = [], False
            return
        self._answered = True
        if self.exchange is not None:
            self.exchange.on_head(status, self._headers)

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._parser.get_status_code() >= 200 and not self._complete:
            self._complete = True
            # llhttp answers this inside the callback only; asked later it says no.
            self._reusable = self._parser.should_keep_alive()

    def _finish(self) -> None:
        exchange, self.exchange = self.exchange, None
        assert exchange is not None
        if self._reusable and not self._surplus and not exchange.paused:
            self.endpoint.idle.append(self)
            self._expiry = asyncio.get_running_loop().call_later(self.keep_alive, self.transport.close)
        else:
            self.transport.close()
        exchange.on_end()

    def _fail(self, what: str) -> None:
        exchange, self.exchange = self.exchange, None
        self.transport.abort()
        if exchange is not None:
            exchange.on_fail(UpstreamError(f"endpoint {self.endpoint.authority} {what}"))
