"""The relay: one call from its admission to its answer's last byte, whatever carries it to the client.

It knows no transport. A carrier (`api/carrier.py` over ASGI) implements `Carrier` and calls `begin`, `pause`, `resume`
and `leave`; towards the endpoints it is a dispatch's `Requester`.
"""

from collections.abc import Callable
from time import perf_counter

from services.common.errors import ClientGone, NaruError, NoHealthyEndpoint, UpstreamError
from services.gateway.answers import VersionMetrics
from services.gateway.metrics import OK
from services.gateway.relay.admission import UNLIMITED, Place
from services.gateway.relay.bodies import asks_once, for_model
from services.gateway.relay.books import Ended
from services.gateway.relay.call import Call
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.context import RelayContext
from services.gateway.relay.dialects import explains
from services.gateway.relay.keepalive import COMMENT
from services.gateway.relay.meter import Meter
from services.gateway.relay.mover import Mover, can_move
from services.gateway.relay.refusal import late_refusal, upstream_error
from services.gateway.relay.sse import EventSplitter
from services.gateway.relay.stream import Stream
from services.gateway.routing.dispatch import Dispatch
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Headers
from services.gateway.upstream.request import encode

ENGINE_REFUSED = "engine_refused"
"""Outcome: the engine itself answered 4xx; its words reached the client."""
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")
UNBUFFERED = [(b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no")]
PASSED_ON = frozenset({b"content-type", b"retry-after", b"content-encoding"})
"""Headers of an endpoint's answer that the client gets; the rest concerns this hop or is the gateway's to say."""
NOTHING_ELSE: Headers = []
"""Never changed."""


class Relay:
    """`closed` is called once, when the call is over."""

    __deletable__ = ("carrier",)  # mypyc's word for what `del` may be said of

    # On the class: most calls never change most of these, and what is not set costs nothing.
    _mover: Mover | None = None
    _status = 0
    _begun = False
    """The head of a stream went to the client."""
    committed = False
    """Some event went to the client."""
    _size = 0
    _ending: tuple[str, int, bool] | None = None
    over = False
    _headers: Headers
    _parts: list[bytes]
    _stream: Stream | None = None
    """Where the endpoint answers with events."""

    def __init__(self, call: Call, carrier: Carrier, context: RelayContext, closed: Callable[["Relay"], None]) -> None:
        self._call, self.carrier, self._context, self._closed = call, carrier, context, closed
        self._meter = Meter(call)
        self._place: Place = UNLIMITED
        self._told = NOTHING_ELSE
        """What else the answer's head says."""
        self._dispatch = self._new_dispatch()
        self._inflight = context.metrics.inflight.labels(call.pool.name)

    # from the carrier

    def begin(self) -> None:
        self._inflight.value += 1
        if self._call.stream:
            self._context.keep_alive.enter(self)
        self._call.account.open(self)

    def permitted(self) -> None:
        """The caller's limits allow it."""
        try:
            place = self._place = self._context.admission.enter(self._call, self)
        except NaruError as error:
            self._fail(error)
            return
        if place.running:
            self.proceed()

    def proceed(self) -> None:
        """The call may run."""
        self._call.trace.proceeds()
        try:
            self._dispatch.start()
        except NoHealthyEndpoint as error:
            if not self._held():
                self._fail(error)

    def pause(self) -> None:
        if not self.over and self._dispatch.exchange is not None:
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
        if self._meter.done and not self._meter.failed and self.carrier.flushed:
            self._close(OK, self._status)
        else:
            self._close(ClientGone.reason, ClientGone.http_status)

    def abort(self, error: NaruError) -> None:
        """End the call from here, with an error that the client is told."""
        if not self.over:
            self._dispatch.cancel()
            self._fail(error)

    # from the keep-alive

    def comment(self) -> None:
        """The client has waited long: it gets a sign of life, and with it the head of a stream."""
        if not self._begun:
            self._start([EVENT_STREAM])
        if self.carrier.flushed:
            self.carrier.write(COMMENT)

    # Requester: from the dispatch

    def encode(self, endpoint: Endpoint) -> bytes:
        call, meter = self._call, self._meter
        if meter.dispatched is None:
            meter.dispatched = perf_counter()
        body = call.body if self._mover is None and self._dispatch.pool is call.pool else self._body()
        return encode("POST", call.path, endpoint, call.head + call.trace.attempt(endpoint.authority), body)

    def restart(self, reason: str) -> None:
        self._call.trace.failed(reason)
        self._meter.restart()
        self._status, self._stream = 0, None

    def missing(self) -> UpstreamError | None:
        if not self._call.stream or self._status >= 400:
            return None
        if self._stream is None:
            kind = dict(self._headers).get(b"content-type", b"")
            odd = not kind.startswith(b"application/json")
            return UpstreamError(f"model {self._dispatch.pool.name!r} answered without a stream") if odd else None
        return self._stream.missing()

    def on_head(self, status: int, headers: Headers) -> Callable[[bytes], None]:
        self._status = status
        self._headers = [header for header in headers if header[0] in PASSED_ON]
        if not self.carrier.flushed:
            self.pause()
        if status < 400 and dict(self._headers).get(b"content-type", b"").startswith(b"text/event-stream"):
            stream = self._stream = self._new_stream()
            return stream.take
        self._stream = None
        self._parts, self._size = [], 0
        return self._gather

    def _gather(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size > self._context.max_answer:
            self.abort(self._too_large())

    def _too_large(self) -> UpstreamError:
        return UpstreamError(f"the answer of model {self._dispatch.pool.name!r} was larger than allowed")

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self._status = status
        self._headers = [header for header in headers if header[0] in PASSED_ON]
        if len(body) > self._context.max_answer:
            self._fail(self._too_large())
        else:
            self._answer_whole(body)

    def on_end(self) -> None:
        if self._stream is not None:
            self._end_stream(self._stream.rest)
        else:
            self._answer_whole(b"".join(self._parts))

    def on_fail(self, error: NaruError) -> None:
        if self._stream is not None:
            self._stream.settle()
        if not self.over and self.committed:
            if self._is_whole():
                self._end_for_engine()
                return
            if self._mover is not None and self._mover.begin(error):
                self._call.trace.failed(error.reason)
                return
        if isinstance(error, NoHealthyEndpoint) and not self.over and not self.committed and self._held():
            return
        self._fail(error)

    def _new_dispatch(self) -> Dispatch:
        call = self._call
        pools = (call.pool, *call.fallbacks) if call.fallbacks else (call.pool,)
        return Dispatch(pools, call.hints, self, self._context.resilience, streamed=call.stream)

    def _held(self) -> bool:
        """Whether the call waits for its model's next endpoint: the last one is gone, and nothing of an answer is
        here. It then starts anew."""
        try:
            place = self._context.admission.hold(self._call, self)
        except NaruError as error:
            self._fail(error)
            return True
        if place is None:
            return False
        self._place.leave()
        self._place = place
        self._dispatch.end()
        self._dispatch = self._new_dispatch()
        self.restart("no endpoint")
        self._meter.dispatched = None
        return True

    # a streamed answer

    def _new_stream(self) -> Stream:
        exchange = self._dispatch.exchange
        assert exchange is not None
        if not self.committed:
            movable = can_move(self._call, self._dispatch, self._context)
            self._mover = Mover(self._call, self._dispatch, self._context, self._body()) if movable else None
        self._meter.gap = self._instruments().content_gap
        return Stream(self, self._meter, exchange, EventSplitter(self._context.max_event), self._mover)

    def _start(self, headers: Headers) -> None:
        self._begun = True
        self.carrier.start(200, [*headers, *self._head(), *UNBUFFERED])

    def commit(self) -> None:
        self.committed = True
        self._context.keep_alive.leave(self)
        if not self._begun:
            self._start(self._headers)
        self._meter.bytes_left()

    def _end_stream(self, rest: bytes) -> None:
        if not self.committed:
            self.commit()
        self.carrier.end(rest)
        self._finish(UpstreamError.reason if self._meter.failed else OK)

    def _is_whole(self) -> bool:
        """Whether an engine that died had said all that the client asked for, but for the end of the stream."""
        call, meter = self._call, self._meter
        told = call.hide_usage or meter.usage.output is not None
        return meter.finished and not meter.failed and told and bool(call.dialect.end_event) and asks_once(call.body)

    def _end_for_engine(self) -> None:
        self.carrier.end(self._call.dialect.end_event)
        self._finish(OK)

    # a whole answer

    def _answer_whole(self, body: bytes) -> None:
        refused = self._status >= 400
        model = self._dispatch.pool.name
        if self.committed:
            self._fail(UpstreamError(f"an engine of model {model!r} died, and no other one could continue its answer"))
        elif self._status >= 500 or self._status == 401 or (refused and not explains(body)):
            self._fail(upstream_error(model, self._status, dict(self._headers).get(b"retry-after", b"")))
        elif self._begun:
            self._fail(late_refusal(model, self._status, body), ENGINE_REFUSED if refused else None)
        else:
            self._pass_whole(body)

    def _pass_whole(self, body: bytes) -> None:
        headers = [*self._headers, *self._head()]
        if self._status == 429 and not any(name == b"retry-after" for name, _ in headers):
            headers.append((b"retry-after", b"1"))
        self.carrier.whole(self._status, headers, body)
        if self._status >= 400:
            self._finish(ENGINE_REFUSED, client_fault=self._status != 429)
            return
        self._meter.whole_left()
        self._meter.usage = self._call.dialect.read_answer(body)
        if self._call.trace.said is not None:
            self._call.trace.said.append(body.decode(errors="replace"))
        self._finish(OK)

    # ends

    def _finish(self, outcome: str, *, client_fault: bool = False) -> None:
        """The engine's part is done. A client that leaves before it took the rest did not get its answer."""
        if self.carrier.flushed:
            self._close(outcome, self._status, client_fault=client_fault)
        else:
            self._ending = (outcome, self._status, client_fault)
            self._place.leave()  # the engine is free, however slowly the client reads
            self._place = UNLIMITED

    def _fail(self, error: NaruError, outcome: str | None = None) -> None:
        if self.over:
            return
        if self._ending is not None:
            pass  # all of the answer is on its way already
        elif self._begun:
            self.carrier.break_off(error, self._call.dialect.error_event(self._context.describe(error)))
        else:
            self.carrier.error(error, self._head())
        fault = outcome == ENGINE_REFUSED and not error.retryable
        self._close(outcome or error.reason, error.http_status, error.message, client_fault=fault)

    def _close(self, outcome: str, status: int, reason: str | None = None, *, client_fault: bool = False) -> None:
        self.over = True
        if self._stream is not None:
            self._stream.settle()
        if self._call.stream:
            self._context.keep_alive.leave(self)
        self._place.leave()
        self._dispatch.end()
        if self._mover is not None:
            self._mover.end()
        self._inflight.value -= 1
        self._call.account.close(outcome, self._meter.usage, self._meter.pieces)
        self._context.books.close(Ended(
            self._meter, outcome, status, reason, client_fault, self._dispatch.pool, self._dispatch.endpoint,
            perf_counter(),
        ))  # fmt: skip
        self._closed(self)
        self._stream = None
        del self.carrier  # both know this object: cycles

    def headers(self) -> Headers:
        """Which model, version and endpoint answered, and what is left of the caller's limits."""
        return [*self._names(), *self._call.account.headers]

    def limit_lines(self) -> bytes:
        """What is left of the caller's limits, as lines of a head."""
        return self._call.account.lines()

    def _head(self) -> Headers:
        """What the carrier is to be given."""
        return self._names() if self.carrier.writes_lines else self.headers()

    def _names(self) -> Headers:
        endpoint = self._dispatch.endpoint
        names = [(b"x-naru-model", self._dispatch.pool.name.encode())] if endpoint is None else endpoint.names
        return [*names, *self._told] if self._told else names

    def _body(self) -> bytes:
        """The request as the model that is asked at present needs it."""
        if self._mover is not None and self.committed:
            return self._mover.body
        pool = self._dispatch.pool
        return self._call.body if pool is self._call.pool else for_model(self._call.body, pool.name)

    def _instruments(self) -> VersionMetrics:
        endpoint = self._dispatch.endpoint
        assert endpoint is not None
        return self._dispatch.pool.instruments(self._call.operation, endpoint.version)
