"""Carries model calls straight over the HTTP protocol: a POST to a model's path never becomes an ASGI scope, task or
message. Every other request goes to the application as ever.

The answers are the same as over ASGI, and the same tests hold both; `NARU_GATEWAY__HTTP__DIRECT=false` takes this
carrier out.
"""

import asyncio
from collections.abc import Mapping
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.gateway.api.direct_call import DirectCall, Stamp, Surface
from services.gateway.api.door import Door
from services.gateway.api.errors import Failures
from services.gateway.api.heading import read_heading
from services.gateway.api.http_protocol import BoundedProtocol
from services.gateway.api.operations import OPERATIONS
from services.gateway.api.repeat import Repeat
from services.gateway.api.tasks import SURFACES
from services.gateway.settings import HttpSettings

LESSONS = 3
"""Heads of a connection that are kept in vain before none is: some clients write something new into each."""
MAX_EARLY = 64 * 2**10
"""Bytes of a next request that are kept while an answer is under way; then the connection is not read."""


def direct_protocol(limits: HttpSettings, failures: Failures, door: Door) -> type[HttpToolsProtocol]:
    """The protocol class for `uvicorn.Config(http=…)`."""
    surfaces: dict[bytes, Surface] = {surface.path.encode(): surface for surface in (*OPERATIONS, *SURFACES)}
    shared = {"limits": limits, "failures": failures, "door": door, "stamp": Stamp(), "surfaces": surfaces}
    return type("DirectProtocolWithin", (DirectProtocol,), shared)


class DirectProtocol(BoundedProtocol):
    door: ClassVar[Door]
    stamp: ClassVar[Stamp]
    surfaces: ClassVar[Mapping[bytes, Surface]]
    _call: DirectCall | None = None
    """The call in progress: from its head to the last byte of its answer."""
    _surface: Surface
    """Of the head that was read last."""
    _repeat: Repeat | None = None
    """A head that was read, where a next one may be the same."""
    _repeated: Surface
    """Of that head: others may have been read since."""
    _lessons = LESSONS
    """How often a head may still be kept without being met again."""
    _missing = 0
    """Bytes of a body whose head was the last one's."""
    _early: tuple[bytes, ...] = ()
    """Segments that came while an answer was under way."""
    _timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    _idle_timer: asyncio.TimerHandle | None = None

    # what comes in

    def data_received(self, data: bytes) -> None:
        call = self._call
        if self._early or (call is not None and call.complete):
            self._keep_for_later(data)
            return
        if call is None and self._repeat is not None and self._again(self._repeat, data):
            return
        if self._missing:
            self._take_missing(data)
            return
        super().data_received(data)
        if self._call is None:
            return
        if call is None and self._lessons:
            self._learn(data)
        self._go_on(self._call)

    def _go_on(self, call: DirectCall) -> None:
        """Some of its request came."""
        if call.complete:
            if self._timer is not None:
                self._stop_timer()
            call.begin()
        elif self._timer is None:
            self._timer = self.loop.call_later(self.limits.body_timeout, call.is_late)

    def _learn(self, data: bytes) -> None:
        """A request began with this data, and its head has ended."""
        call = self._call
        if call is not None and call.keep and not call.wants_answer and data.startswith(b"POST "):
            self._lessons -= 1
            self._repeat, self._repeated = Repeat.of(data, call.heading), self._surface

    def _again(self, repeat: Repeat, data: bytes) -> bool:
        """Whether a request began whose head is the last one's."""
        found = repeat.match(data)
        if found is None or self._refused or (self.cycle is not None and not self.cycle.response_complete):
            return False
        begin, length = found
        if not 0 < length <= self.limits.max_body:
            return False
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        self._lessons = LESSONS
        self._call = DirectCall(self, self._repeated, repeat.heading, keep=True)
        self._missing = length
        self._take_missing(data[begin:])
        return True

    def _take_missing(self, data: bytes) -> None:
        call, missing = self._call, self._missing
        assert call is not None
        if len(data) > missing:
            self._keep_for_later(data[missing:])
            data = data[:missing]
        if data:
            call.take(data)
        self._missing -= len(data)
        call.complete = not self._missing
        self._go_on(call)

    def _keep_for_later(self, data: bytes) -> None:
        """A client that sends its next request before it has its answer."""
        self._early += (data,)
        if sum(map(len, self._early)) > MAX_EARLY:
            self.flow.pause_reading()

    def _catch_up(self) -> None:
        if self.transport.is_closing():
            return  # the client left in between
        while self._early and (self._call is None or not self._call.complete):
            data, *rest = self._early
            self._early = ()
            self.data_received(data)
            self._early = (*self._early, *rest)
        if not self._early:
            self.flow.resume_reading()

    def head_complete(self) -> None:
        if self._call is not None:
            self._call.keep = False  # two requests in one segment: the second is answered by a close, RFC 9112, 9.3.2
            return
        surface = self.surfaces.get(self.url)
        parser = self.parser
        busy = self.cycle is not None and not self.cycle.response_complete
        if surface is None or busy or parser.get_method() != b"POST" or parser.get_http_version() != "1.1":
            super().head_complete()
            return
        self._surface = surface
        self._call = DirectCall(self, surface, read_heading(self.headers), keep=parser.should_keep_alive())
        self.headers = []  # not kept as long as the connection
        if self._call.wants_answer:
            self._call.answer_head()

    def on_body(self, body: bytes) -> None:
        call = self._call
        if call is None:
            super().on_body(body)
        elif not call.complete:
            call.take(body)

    def on_message_complete(self) -> None:
        if self._call is None:
            super().on_message_complete()
        else:
            self._call.complete = True

    # what goes out

    def answered(self, *, keep: bool) -> None:
        """The call is over: the connection is closed, or takes the next request."""
        self._call = None
        if self._timer is not None:
            self._stop_timer()
        self.server_state.total_requests += 1
        if not keep or self.transport.is_closing():
            self.transport.close()
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)
        if self._early:
            self.loop.call_soon(self._catch_up)

    def discard_rest(self) -> None:
        """The request in progress was answered before it was whole: what still comes is no request."""
        self._refused = True
        self._call, self._missing = None, 0
        self._stop_timer()
        self.close_slowly()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._call is not None and self._call.relay is not None:
            self._call.relay.pause()
            self._timer = self.loop.call_later(self.limits.write_timeout, self._give_up)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._call is not None and self._call.relay is not None:
            self._stop_timer()
            self._call.resume()

    def _give_up(self) -> None:
        """The client does not read its answer."""
        self._leave()
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        self._stop_timer()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def _leave(self) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.leave()

    def shutdown(self) -> None:
        if self._call is None:
            super().shutdown()
        else:
            self._call.keep = False

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_if_idle(self) -> None:
        # Armed once for many requests: a timer for each would cost more than all else that ends one.
        self._idle_timer = None
        if self._call is not None or (self.cycle is not None and not self.cycle.response_complete):
            return  # the answer's end arms it anew
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left > 0:
            self._idle_timer = self.loop.call_later(left, self._close_if_idle)
        else:
            self.timeout_keep_alive_handler()
