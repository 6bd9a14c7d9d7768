"""HTTP/1.1 connections to endpoints (RFC 9112): kept alive, one exchange at a time on each, callbacks instead of tasks.

The parser is httptools (llhttp). What an answer brings goes straight from the socket's callback to the exchange's
sink; see docs/decisions for why this is not a general HTTP client.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import httptools

from services.common.errors import UpstreamError
from services.gateway.upstream.endpoint import Endpoint

if TYPE_CHECKING:
    from services.gateway.upstream.exchange import Exchange

MAX_HEAD = 64 * 2**10
"""Bytes of status line and headers accepted from an endpoint."""
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})


class Connection(asyncio.Protocol):
    """Idle in its endpoint's list, or carrying one exchange."""

    transport: asyncio.Transport
    _parser: Any = None

    def __init__(self, endpoint: Endpoint, keep_alive: float) -> None:
        self.endpoint = endpoint
        self.exchange: Exchange | None = None
        self.uses = 0
        self._keep_alive = keep_alive
        self._loop = asyncio.get_running_loop()
        self._idle_since = 0.0
        self._pace = keep_alive
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._reset()

    def _reset(self) -> None:
        self._lane: Callable[[bytes], bool] | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._body: list[bytes] = []
        self._status = 0
        self._framed = self._answered = self._told = self._complete = self._reusable = self._surplus = False

    def carry(self, exchange: "Exchange") -> None:
        """Send the exchange's request; its answer goes to the exchange."""
        if self.uses:
            self._reset()
        else:
            # Not before: a connection that is given up as it opens is never told that it is lost.
            self._parser = httptools.HttpResponseParser(self)  # a cycle, from here to `connection_lost`
            self._watch(min(self._pace, exchange.limits.pace))
            self.endpoint.connections.add(self)
        self.uses += 1
        self.exchange = exchange
        if exchange.limits.pace < self._pace:
            self._watch(exchange.limits.pace)
        self.transport.write(exchange.request)

    def release(self) -> None:
        """The exchange was given up: an answer on its way must not meet the next one."""
        self.exchange = self._lane = None
        self.transport.abort()

    def _watch(self, pace: float) -> None:
        """One timer for the connection's life looks at the clock now and then: to arm one for each request, and to move
        it with each piece of an answer, would cost more than the request and the piece do."""
        if self._timer is not None:
            self._timer.cancel()
        self._pace = pace
        self._due = perf_counter() + pace
        self._timer = self._loop.call_later(pace, self._look)

    def _look(self) -> None:
        if self.exchange is None and self.transport.is_closing():
            return
        now = perf_counter()
        late = max(0.0, now - self._due)
        self._watch(self._pace)
        if self.exchange is not None:
            self.exchange.check(now, late)
        elif now >= self._idle_since + self._keep_alive:
            self.transport.close()

    def heard_since(self, moment: float) -> bool:
        """Whether some of an answer has come on it since (`time.perf_counter()`)."""
        exchange = self.exchange
        if exchange is not None and exchange.touched and exchange.last_heard() >= moment:
            return True
        return self.uses > (exchange is not None) and self._idle_since >= moment

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._idle_since = perf_counter()

    def data_received(self, data: bytes) -> None:
        lane = self._lane
        if lane is not None:  # there is an exchange: its token is the most frequent thing there is
            if lane(data):
                return
            self._lane = None
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
        if self._complete and not self._told:  # most answers come whole: all of it is told at once
            self._free(exchange)
            exchange.on_answer(self._status, self._headers, self._take())
            return
        if self._answered and not self._told:
            self._told = True
            exchange.on_head(self._status, self._headers)
        if self._body and self.exchange is exchange:
            exchange.complete = self._complete
            self._deliver(exchange, data)
        if self._complete and self.exchange is exchange:
            self._free(exchange)
            exchange.on_end()

    def _deliver(self, exchange: "Exchange", data: bytes) -> None:
        parts = self._body
        exchange.on_data(self._take())
        # Whole chunks, read where one began, leave the parser where the next one begins: it need not see that one.
        if exchange.lane is not None and data == b"".join([b"%x\r\n%b\r\n" % (len(part), part) for part in parts]):
            self._lane = exchange.lane.take

    def _take(self) -> bytes:
        body, self._body = self._body, []
        return body[0] if len(body) == 1 else b"".join(body)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._parser = None
        if self._timer is not None:
            self._timer.cancel()
        self.endpoint.connections.discard(self)
        if self in self.endpoint.idle:
            self.endpoint.idle.remove(self)
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
        if name in _FRAMING:
            self._framed = True
        self._headers.append((name, value))
        self._head_size += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        if self._complete:
            return
        status = self._parser.get_status_code()
        if status < 200:  # an interim answer: the final one follows
            self._headers, self._framed = [], False
            return
        self._answered, self._status = True, status

    def on_body(self, data: bytes) -> None:
        if not self._complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._answered and not self._complete:
            self._complete = True
            # llhttp answers this inside the callback only; asked later it says no.
            self._reusable = self._parser.should_keep_alive()

    def _free(self, exchange: "Exchange") -> None:
        """The answer is complete: the connection takes the next one, or is closed."""
        self.exchange = self._lane = None
        if self._reusable and not self._surplus and not exchange.paused:
            self._idle_since = perf_counter()
            self.endpoint.idle.append(self)
        else:
            self.transport.close()

    def _fail(self, what: str) -> None:
        exchange, self.exchange = self.exchange, None
        self._lane = None
        self.transport.abort()
        if exchange is not None:
            exchange.on_fail(UpstreamError(f"endpoint {self.endpoint.authority} {what}"))
