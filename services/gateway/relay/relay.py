"""The relay: one call from its admission to its answer's last byte, whatever carries it to the client.

It knows no transport. A carrier (`api/carrier.py` over ASGI) implements `Carrier` and calls `begin`, `pause`, `resume`
and `leave`; the upstream side is a `Sink`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from services.common.errors import (
    ClientGone,
    NaruError,
    NoHealthyEndpoint,
    Unavailable,
    UpstreamError,
    UpstreamTruncated,
)
from services.gateway.metrics import OK, Metrics, VersionMetrics
from services.gateway.relay.call import Call
from services.gateway.relay.dialects import explains
from services.gateway.relay.meter import Meter
from services.gateway.relay.sse import EventSplitter, EventTooLargeError, payload
from services.gateway.request_log import Entry, RequestLog
from services.gateway.routing.dispatch import Dispatch
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Headers
from services.gateway.upstream.limits import Limits
from services.gateway.upstream.request import encode

ENGINE_REFUSED = "engine_refused"
"""Outcome: the engine itself answered 4xx; its words reached the client."""
PASSED_ON = frozenset({b"content-type", b"retry-after", b"content-encoding"})
"""Headers of an endpoint's answer that the client gets; the rest concerns this hop or is the gateway's to say."""


class Carrier(Protocol):
    """The client's side of a call. It calls `Relay.resume` whenever all that it was given has been taken."""

    @property
    def flushed(self) -> bool:
        """Whether the client's connection has taken everything so far."""

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in pieces."""

    def write(self, data: bytes) -> None: ...

    def end(self) -> None: ...

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer."""

    def error(self, error: NaruError, headers: Headers) -> None:
        """Nothing was sent yet: answer with an error in the edge's own form."""

    def break_off(self, error: NaruError, event: bytes) -> None:
        """The answer that had begun can't be completed; `event` says so in the stream's own form."""


@dataclass(frozen=True, slots=True)
class RelayContext:
    """What every relay of a gateway shares."""

    metrics: Metrics
    log: RequestLog
    instruments: Callable[[str, Endpoint], VersionMetrics]
    """The instruments of an operation on an endpoint's version."""
    limits: Limits
    retries: int
    max_answer: int
    max_event: int
    describe: Callable[[NaruError], dict[str, object]]
    """An error's fields as the API's error object has them."""


class Relay:
    """`closed` is called once, when the call is over."""

    def __init__(self, call: Call, carrier: Carrier, context: RelayContext, closed: Callable[["Relay"], None]) -> None:
        self._call, self._carrier, self._context, self._closed = call, carrier, context, closed
        self._metrics = context.metrics
        self._meter = Meter(call)
        self._splitter = EventSplitter(context.max_event)
        limits = context.limits if call.stream else context.limits.unstreamed
        self._dispatch = Dispatch(call.pool, call.hints, self._encode, self, limits, context.retries)
        self._status = 0
        self._headers: Headers = []
        self._streaming = False
        self._parts: list[bytes] = []
        self._size = 0
        self._ending: tuple[str, int, bool] | None = None
        self.over = False

    # from the carrier

    def begin(self) -> None:
        self._metrics.inflight.labels(self._call.pool.name).inc()
        try:
            self._dispatch.start()
        except NoHealthyEndpoint as error:
            self._fail(error)

    def pause(self) -> None:
        if self._dispatch.exchange is not None and not self.over:
            self._dispatch.exchange.pause()

    def resume(self) -> None:
        if self.over:
            return
        if self._ending is not None:
            outcome, status, client_fault = self._ending
            self._close(outcome, status, client_fault=client_fault)
        elif self._dispatch.exchange is not None:
            self._dispatch.exchange.resume()

    def leave(self) -> None:
        """The client has gone: whatever the stage, the engine is told to stop.

        A client may go as soon as it has the event that ends a stream (OpenAI's does), before the engine has closed its
        answer: that one got all there was.
        """
        if self.over:
            return
        self._dispatch.cancel()
        if self._meter.done and not self._meter.failed and self._carrier.flushed:
            self._close(OK, self._status)
        else:
            self._close(ClientGone.reason, ClientGone.http_status)

    def abort(self, error: NaruError) -> None:
        """End the call from here, with an error that the client is told."""
        if not self.over:
            self._dispatch.cancel()
            self._fail(error)

    # Sink: from the upstream

    def on_head(self, status: int, headers: Headers) -> None:
        self._status = status
        self._headers = [(name, value) for name, value in headers if name in PASSED_ON]
        kind = next((value for name, value in self._headers if name == b"content-type"), b"")
        if status < 400 and kind.startswith(b"text/event-stream"):
            self._streaming = True
            self._carrier.start(
                status,
                [*self._headers, *self.headers(), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")],
            )
            self._meter.bytes_left()

    def on_data(self, data: bytes) -> None:
        if self._streaming:
            self._pass_events(data)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._context.max_answer:
            self.abort(UpstreamError(f"the answer of model {self._call.pool.name!r} was larger than allowed"))

    def on_end(self) -> None:
        if self._streaming:
            self._end_stream()
        else:
            self._answer_whole(b"".join(self._parts))

    def on_fail(self, error: UpstreamError) -> None:
        exchange = self._dispatch.exchange
        if exchange is not None and exchange.refused:
            self._fail(NoHealthyEndpoint(f"{error.message}; no other endpoint is left, try again", retry_after=2))
        else:
            self._fail(error)

    # a streamed answer

    def _pass_events(self, data: bytes) -> None:
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            self.abort(UpstreamError("the engine sent an event larger than allowed"))
            return
        content = 0
        kept = []
        for event in events:
            reading = self._call.dialect.read_event(payload(event))
            self._meter.read(reading)
            content += reading.content
            if not (reading.usage_only and self._call.hide_usage):
                kept.append(event)
        if content and self._dispatch.exchange is not None:
            self._dispatch.exchange.content_began()
        if kept:
            self._carrier.write(kept[0] if len(kept) == 1 else b"".join(kept))
            if content:
                self._meter.content_left(self._instruments(), content)

    def _end_stream(self) -> None:
        rest = self._splitter.rest
        if rest:
            self._meter.read(self._call.dialect.read_event(payload(rest)))
        # A whole stream says that it is whole; one that just stops was cut off.
        if self._call.stream and not self._meter.done and not self._meter.failed:
            self._fail(UpstreamTruncated("the engine's stream ended before it was complete"))
            return
        if rest:
            self._carrier.write(rest)
        self._carrier.end()
        self._finish(UpstreamError.reason if self._meter.failed else OK)

    # a whole answer

    def _answer_whole(self, body: bytes) -> None:
        refused = self._status >= 400
        if self._status >= 500 or self._status == 401 or (refused and not explains(body)):
            self._fail(self._upstream_error())
            return
        headers = [*self._headers, *self.headers()]
        if self._status == 429 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"retry-after", b"1"))
        self._carrier.whole(self._status, headers, body)
        if refused:
            self._finish(ENGINE_REFUSED, client_fault=self._status != 429)
            return
        self._meter.whole_left()
        self._meter.usage = self._call.dialect.read_answer(body)
        self._finish(OK)

    def _upstream_error(self) -> NaruError:
        model = self._call.pool.name
        if self._status == 503:
            return Unavailable(f"model {model!r} is overloaded or starting; try again shortly", retry_after=2)
        return UpstreamError(f"model {model!r} answered with an error of its own (status {self._status})")

    # ends

    def _finish(self, outcome: str, *, client_fault: bool = False) -> None:
        """The engine's part is done. A client that leaves before it took the rest did not get its answer."""
        if self._carrier.flushed:
            self._close(outcome, self._status, client_fault=client_fault)
        else:
            self._ending = (outcome, self._status, client_fault)

    def _fail(self, error: NaruError) -> None:
        if self.over:
            return
        if self._ending is not None:
            pass  # all of the answer is on its way already
        elif self._streaming:
            self._carrier.break_off(error, self._call.dialect.error_event(self._context.describe(error)))
        else:
            self._carrier.error(error, self.headers())
        self._close(error.reason, error.http_status, error.message)

    def _close(self, outcome: str, status: int, reason: str | None = None, *, client_fault: bool = False) -> None:
        self.over = True
        self._metrics.inflight.labels(self._call.pool.name).dec()
        answer = self._meter.answer(outcome, client_fault=client_fault)
        endpoint = self._dispatch.endpoint
        if endpoint is None:
            self._metrics.refused(self._call.operation, outcome, self._call.pool.name)
        else:
            self._instruments().record(answer)
        call = self._call
        self._context.log.write(Entry(
            call.request_id, call.operation, outcome, status, reason, call.pool.name,
            endpoint.version if endpoint else None, endpoint.authority if endpoint else None, call.tenant, call.stream,
            _rounded(answer.ttft), _rounded(answer.tpot), _rounded(answer.ended - answer.received),
            answer.input_tokens, answer.output_tokens,
        ))  # fmt: skip
        self._closed(self)

    def headers(self) -> Headers:
        """Which model, version and endpoint answered."""
        endpoint = self._dispatch.endpoint
        return [(b"x-naru-model", self._call.pool.name.encode())] if endpoint is None else endpoint.names

    def _encode(self, endpoint: Endpoint) -> bytes:
        self._meter.request_sent()
        return encode("POST", self._call.path, endpoint, self._call.headers, self._call.body)

    def _instruments(self) -> VersionMetrics:
        endpoint = self._dispatch.endpoint
        assert endpoint is not None
        return self._context.instruments(self._call.operation, endpoint)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)
