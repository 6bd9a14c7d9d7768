"""One request to one endpoint and its answer: the narrow interface between the relay and HTTP.

    exchange = Exchange(endpoint, request, sink, limits)
    exchange.start()                    # never raises; from here the sink is called
    exchange.content_began()            # the first content came: from now on silence is bounded by `limits.idle`
    exchange.pause() / .resume() / .cancel()

A sink gets either `on_answer`, or `on_head` once, `on_data` any number of times, then `on_end`; or `on_fail` at any
point, and nothing after `cancel`.
"""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Protocol

from services.common.errors import ConnectTimeout, FirstTokenTimeout, IdleTimeout, UpstreamError, UpstreamTimeout
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.limits import Limits
from services.gateway.upstream.patience import Patience

Headers = list[tuple[bytes, bytes]]


class Sink(Protocol):
    def on_head(self, status: int, headers: Headers) -> None: ...
    def on_data(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        """An answer that came whole, instead of `on_head`, `on_data` and `on_end`."""

    def on_fail(self, error: UpstreamError) -> None: ...


class Lane(Protocol):
    """A short way past the sink."""

    last: float
    """When something was taken for the last time, `time.perf_counter()`'s."""

    def take(self, data: bytes) -> bool:
        """Take what comes next, framing included, or say that it is not for here."""


class Exchange:
    """Holds the endpoint's place in flight from `start` until its end, whichever way it ends."""

    def __init__(self, endpoint: Endpoint, request: bytes, sink: Sink, limits: Limits) -> None:
        self.endpoint = endpoint
        self.request = request
        self.limits = limits
        self.touched = False
        self.paused = False
        self.lane: Lane | None = None
        """Is asked first for data that begins a chunk. To be set or unset as each piece is delivered."""
        self.complete = False
        """The answer is here to its end: `on_end` follows what is delivered now."""
        self.refused = False
        """The endpoint took no connection: it never saw the request."""
        self._sink: Sink | None = sink
        self._deliver: Callable[[bytes], None] | None = sink.on_data
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._began = False
        self.started = self.heard = 0.0
        """`time.perf_counter()`, as it would be had the loop never been late."""

    def start(self) -> None:
        self.endpoint.in_flight += 1
        self.started = self.heard = perf_counter()
        if self.endpoint.idle:
            self._connection = self.endpoint.idle.pop()
            self._connection.carry(self)
        else:
            self._connect()

    def _connect(self) -> None:
        self._connecting = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        endpoint, loop = self.endpoint, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as limit:
                patience = Patience(self.limits.connect, lambda: limit.reschedule(loop.time()))
                try:
                    _, connection = await loop.create_connection(
                        lambda: Connection(endpoint, self.limits.keep_alive), endpoint.host, endpoint.port
                    )
                finally:
                    patience.end()
        except TimeoutError:
            what = f"{self._where} took longer than {self.limits.connect:g} s to accept a connection"
            self._refuse(ConnectTimeout(what))
        except OSError as error:
            what = f"{self._where} refused the connection ({error.strerror or type(error).__name__})"
            self._refuse(UpstreamError(what))
        else:
            self._connecting, self._connection = None, connection
            connection.carry(self)

    def _refuse(self, error: UpstreamError) -> None:
        self._connecting = None
        self.refused = True
        self.on_fail(error)

    # from the connection

    def on_head(self, status: int, headers: Headers) -> None:
        self.heard = perf_counter()
        self.request = b""  # not sent again
        if self._sink is not None:
            self._sink.on_head(status, headers)

    def on_data(self, data: bytes) -> None:
        self.heard = perf_counter()
        if self._deliver is not None:
            self._deliver(data)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        sink = self._leave()
        if sink is not None:
            sink.on_answer(status, headers, body)

    def on_end(self) -> None:
        sink = self._leave()
        if sink is not None:
            sink.on_end()

    def on_fail(self, error: UpstreamError) -> None:
        if self._went_stale():
            self.touched = False
            self._connection = None
            self._connect()
            return
        sink = self._leave()
        if sink is not None:
            sink.on_fail(error)

    def _went_stale(self) -> bool:
        """Whether a kept-alive connection died without a byte: the endpoint closed it as the request was under way.

        The request is sent once more, on a new connection. Should an engine have begun it all the same, the dead
        connection cancels that work: inference has no other side effect.
        """
        connection = self._connection
        return connection is not None and connection.uses > 1 and not self.touched and self._sink is not None

    # from the relay

    def deliver_to(self, take: Callable[[bytes], None]) -> None:
        """Data goes straight to whom the sink would pass it on."""
        self._deliver = take

    def content_began(self) -> None:
        self._began = True

    def pause(self) -> None:
        """Stop reading: the client is slower than the engine. Silence is then no fault of the endpoint's."""
        if self._connection is not None and not self.paused:
            self.paused = True
            self._connection.transport.pause_reading()

    def resume(self) -> None:
        if self.paused and self._connection is not None:
            self.paused = False
            self.heard = perf_counter()
            self._connection.transport.resume_reading()

    def cancel(self) -> None:
        """Give the exchange up: its connection is closed, which tells the engine to stop."""
        connection, connecting = self._connection, self._connecting
        if self._leave() is None:
            return
        if connection is not None and connection.exchange is self:
            connection.release()
        if connecting is not None:
            self._connecting = None
            connecting.cancel()

    def _leave(self) -> Sink | None:
        """End once; break the references to connection and sink, so that no cycle waits for the collector."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self.endpoint.in_flight -= 1
            self._connection = self._deliver = self.lane = None
        return sink

    # deadlines

    def last_heard(self) -> float:
        """When something came for the last time, by either way; `heard` is that from now on."""
        if self.lane is not None:
            self.heard = max(self.heard, self.lane.last)
        return self.heard

    def check(self, now: float, late: float) -> None:
        """Ends the exchange where it is too late; its connection asks now and then. Seconds by which it was itself too
        late to ask are not the endpoint's."""
        limits = self.limits
        self.started += min(late, now - self.started)
        heard = self.last_heard()
        self.heard = heard + min(late, now - heard)
        silent = self.heard + limits.idle if self._began else self.started + limits.first_byte
        if now >= self.started + limits.total:
            self._give_up(UpstreamTimeout(f"{self._where} did not complete its answer within {limits.total:g} s"))
        elif now < silent or self.paused:
            return
        elif self._began:
            self._give_up(IdleTimeout(f"{self._where} fell silent for {limits.idle:g} s inside its answer"))
        else:
            self._give_up(FirstTokenTimeout(f"{self._where} sent no content within {limits.first_byte:g} s"))

    @property
    def _where(self) -> str:
        return f"endpoint {self.endpoint.authority}"

    def _give_up(self, error: UpstreamError) -> None:
        sink = self._sink
        self.cancel()
        if sink is not None:
            sink.on_fail(error)
