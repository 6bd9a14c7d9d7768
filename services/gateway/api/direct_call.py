"""One model call carried straight over the HTTP protocol: its request, and the carrier of its answer."""

import logging
from collections.abc import Callable
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from services.common.errors import ClientGone, InternalError, NaruError, RequestTimeout
from services.gateway.api.body import DISCARDED, too_large
from services.gateway.api.door import JSON, Admitted, Order
from services.gateway.api.errors import error_body, error_headers
from services.gateway.api.heading import Heading
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyring import Principal
from services.gateway.relay.relay import Relay
from services.gateway.routing.fleet import ModelPool
from services.gateway.upstream.exchange import Headers
from services.gateway.upstream.request import lines

if TYPE_CHECKING:
    from services.gateway.api.direct import DirectProtocol

logger = logging.getLogger("naru.request")

STATUS_LINES = {status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
CLOSE = (b"connection", b"close")


class Surface(Protocol):
    """What a model's path does with a body: `Operation` and `TaskSurface` are such."""

    @property
    def path(self) -> str: ...

    def prepare(self, gate: Gate, principal: Principal, body: bytes) -> tuple[ModelPool, Order]: ...


class DirectCall:
    """One request and the carrier of its answer."""

    __slots__ = (
        "_authenticated", "_begun", "_body", "_entered", "_finished", "_limit", "_principal", "_refusal", "_request_id",
        "_rest", "_server", "_size", "_surface", "complete", "heading", "keep", "relay",
    )  # fmt: skip

    def __init__(self, server: "DirectProtocol", surface: Surface, heading: Heading, *, keep: bool) -> None:
        self._server, self._surface = server, surface
        self._limit = server.limits.max_body
        self.complete = self._finished = self._rest = False
        self.keep = keep
        self.relay: Relay | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._begun = b""
        """The head of an answer in pieces, until the first one goes with it."""
        self._refusal: NaruError | None = None
        self.heading = heading
        self._request_id = heading.request_id or server.failures.new_id()
        self._entered = perf_counter()
        try:
            self._principal = server.door.gate.enter(heading.key)
            self._authenticated = perf_counter()
        except NaruError as error:
            self._refusal = error  # answered once the body is here: the connection then stays of use

    # the request

    @property
    def wants_answer(self) -> bool:
        return self.heading.expects or self.heading.length > self._limit

    def answer_head(self) -> None:
        """What the head alone asks for: a body beyond all bounds is refused, `expect: 100-continue` (RFC 9110, 10.1.1)
        is answered."""
        if self.heading.length > self._limit * DISCARDED:
            self._refuse(too_large(self._limit), rest=True)
        elif not self.heading.expects:
            return
        elif self._refusal is not None:
            self._refuse(self._refusal, rest=True)
        else:
            self._server.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit * DISCARDED:
            self._refuse(too_large(self._limit), rest=True)
        elif self._size > self._limit:
            self._refusal = self._refusal or too_large(self._limit)
            self._body = []
        elif self._refusal is None:
            self._body.append(data)

    def is_late(self) -> None:
        seconds = self._server.limits.body_timeout
        self._refuse(RequestTimeout(f"the request's body did not arrive within {seconds:g} s"), rest=True)

    def begin(self) -> None:
        """The request is whole."""
        if self._refusal is not None:
            self._refuse(self._refusal)
            return
        parts, door = self._body, self._server.door
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        heading = self.heading
        admitted = Admitted(
            self._principal, body, perf_counter(), self._request_id, heading.passed, heading.hints,
            heading.urgency, uncached=heading.uncached, entered=self._entered, authenticated=self._authenticated,
        )  # fmt: skip
        try:
            pool, order = self._surface.prepare(door.gate, admitted.principal, admitted.body)
            relay = self.relay = door.open(door.call(admitted, pool, order), self)
            relay.begin()
        except NaruError as error:
            self._refuse(error)
        except Exception as error:
            logger.error("unhandled error", exc_info=error)
            self._defect(InternalError("the gateway failed; report the x-request-id of this answer"))

    def _defect(self, error: InternalError) -> None:
        """A defect of ours. A call that was open by then is closed: nobody waits for it or counts it for ever."""
        if self.relay is None:
            self._refuse(error)
        else:
            self.relay.abort(error)

    def leave(self) -> None:
        """The client has gone."""
        if self.relay is not None:
            self.relay.leave()
        else:
            self._count(ClientGone("the client left before its request was complete"))

    def resume(self) -> None:
        """The client took what was waiting for it."""
        assert self.relay is not None
        self.relay.resume()
        if self._finished:
            self._server.answered(keep=self.keep)

    def _refuse(self, error: NaruError, *, rest: bool = False) -> None:
        """Answer what is no call; with `rest`, of a request that will not be read to its end."""
        self._count(error)
        self._rest = rest
        self.keep = self.keep and not rest
        self.error(error, [])

    def _count(self, error: NaruError) -> None:
        path, passed = self._surface.path, self.heading.passed
        self._server.failures.count(path, self._request_id, error, passed, self._entered)

    # Carrier

    writes_lines = True

    @property
    def flushed(self) -> bool:
        return not self._server.flow.write_paused

    @property
    def chunks(self) -> Callable[[bytes], object]:
        write: Callable[[bytes], object] = self._server.transport.write
        return write

    def start(self, status: int, headers: Headers) -> None:
        self._begun = self._head(status, headers) + b"transfer-encoding: chunked\r\n\r\n"

    def write(self, data: bytes) -> None:
        self._server.transport.write(b"%b%x\r\n%b\r\n" % (self._begun, len(data), data))
        self._begun = b""

    def end(self, data: bytes = b"") -> None:
        chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
        self._server.transport.write(b"%b%b0\r\n\r\n" % (self._begun, chunk))
        self._finish()

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        head = self._head(status, headers)
        self._server.transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        self._finish()

    def error(self, error: NaruError, headers: Headers) -> None:
        extra = [(name.encode(), value.encode()) for name, value in error_headers(error).items()]
        if CLOSE in extra:
            self.keep = False
            extra.remove(CLOSE)
        self.whole(error.http_status, [JSON, *headers, *extra], error_body(error, self._surface.path))

    def break_off(self, error: NaruError, event: bytes) -> None:  # noqa: ARG002 - the event says it all here
        self.end(event)

    def _head(self, status: int, headers: Headers) -> bytes:
        stamp = self._server.stamp(self._server.server_state.default_headers)
        close = b"" if self.keep else b"connection: close\r\n"
        limits = b"" if self.relay is None else self.relay.limit_lines()
        return b"%b%bx-request-id: %b\r\n%b%b%b" % (
            STATUS_LINES[status], stamp, self._request_id.encode(), lines(headers), limits, close,
        )  # fmt: skip

    def _finish(self) -> None:
        if self._rest:
            self._server.discard_rest()
        elif self._server.flow.write_paused:
            self._finished = True  # over once the client has taken it, see `resume`
        else:
            self._server.answered(keep=self.keep)


class Stamp:
    """uvicorn's own headers (date) as bytes; it makes a new list once a second."""

    def __init__(self) -> None:
        self._made_of: Headers = []
        self._lines = b""

    def __call__(self, headers: Headers) -> bytes:
        if headers is not self._made_of:
            self._made_of, self._lines = headers, lines(headers)
        return self._lines
