"""One request's part in a trace: what its attempts carry upstream, and when what happened.

Nothing of OpenTelemetry runs while a request does: here are numbers and times only, of which `export.py` makes spans
once the request is over. `Untraced` is what a request has while tracing is off: it costs next to nothing.
"""

from collections.abc import Iterable
from time import perf_counter
from typing import Protocol

import msgspec

from services.gateway.tracing.context import Header, Parent, traceparent


class Attempted(msgspec.Struct, gc=False):
    """One request to one endpoint. Times are `time.perf_counter()`'s."""

    span: int
    authority: str
    began: float
    ended: float | None = None
    failed: str | None = None
    """Why another one followed."""


class Story(msgspec.Struct, frozen=True, gc=False):
    """What became of a request, for its spans. Times are `time.perf_counter()`'s."""

    operation: str
    model: str
    version: str | None
    tenant: str
    request_id: str
    path: str
    stream: bool
    outcome: str
    ok: bool
    status: int
    reason: str | None
    received: float
    ended: float
    first_token: float | None
    last_token: float | None
    input_tokens: int | None
    output_tokens: int | None
    body: bytes
    """The request's; looked into only where content is recorded."""


class Refused(msgspec.Struct, frozen=True, gc=False):
    """A request that ended before it was known what model it is for. Times are `time.perf_counter()`'s."""

    operation: str
    route: str
    """The path or the gRPC service, in our words: nothing of a client's."""
    request_id: str
    outcome: str
    status: int
    reason: str | None
    """As the log has it."""
    began: float
    ended: float


class Trace(Protocol):
    """Of one request."""

    id: str | None
    """32 hexadecimal digits, for the log."""
    sampled: bool
    said: list[str] | None
    """Where the answer's text goes; None where it is not recorded."""

    def checked(self, entered: float, authenticated: float) -> None:
        """When the caller's key was looked at."""

    def proceeds(self) -> None:
        """It may run: it waits in no queue any more."""

    def attempt(self, authority: str) -> bytes:
        """A request to an endpoint begins: header lines for it."""

    def failed(self, reason: str) -> None:
        """The attempt did not bring the answer, and another one follows."""

    def end(self, story: Story) -> None: ...


class Untraced:
    __slots__ = ()
    id: str | None = None
    sampled = False
    said: list[str] | None = None

    def checked(self, entered: float, authenticated: float) -> None:
        pass

    def proceeds(self) -> None:
        pass

    def attempt(self, authority: str) -> bytes:  # noqa: ARG002 - a trace's signature
        return b""

    def failed(self, reason: str) -> None:
        pass

    def end(self, story: Story) -> None:
        pass


UNTRACED = Untraced()


class Unsampled(Untraced):
    """In a trace that nobody records."""

    __slots__ = ("_line", "id")

    def __init__(self, id: str, line: bytes) -> None:  # noqa: A002 - a trace's own word
        """`line`: the header line that tells those upstream; empty where the caller's own headers do."""
        self.id, self._line = id, line

    def attempt(self, authority: str) -> bytes:  # noqa: ARG002
        return self._line


class Keeper(Protocol):
    """Makes spans of what a recorded trace's requests were."""

    def new_span(self) -> int: ...
    def record(self, trace: "Recorded", story: Story) -> None: ...


class Recorded:
    """In a trace that is recorded."""

    __slots__ = (
        "_keeper", "_state", "attempts", "authenticated", "entered", "id", "parent", "proceeded", "said", "span",
        "trace",
    )  # fmt: skip
    sampled = True

    def __init__(self, trace: int, parent: Parent | None, keeper: "Keeper", *, content: bool) -> None:
        self.trace, self.parent = trace, parent
        self.id: str | None = f"{trace:032x}"
        self.span = keeper.new_span()
        self.attempts: list[Attempted] = []
        self.entered = self.authenticated = self.proceeded = 0.0
        self.said: list[str] | None = [] if content else None
        self._keeper = keeper
        self._state = b"" if parent is None else parent.state

    def checked(self, entered: float, authenticated: float) -> None:
        self.entered, self.authenticated = entered, authenticated

    def proceeds(self) -> None:
        self.proceeded = perf_counter()

    def attempt(self, authority: str) -> bytes:
        attempted = Attempted(self._keeper.new_span(), authority, perf_counter())
        self.attempts.append(attempted)
        return traceparent(self.trace, attempted.span, sampled=True) + self._state

    def failed(self, reason: str) -> None:
        if self.attempts:
            self.attempts[-1].ended, self.attempts[-1].failed = perf_counter(), reason

    def end(self, story: Story) -> None:
        self._keeper.record(self, story)


class Traces(Protocol):
    """Gives each request its trace."""

    def begin(self, headers: tuple[Header, ...]) -> tuple[Trace, tuple[Header, ...]]:
        """From the client's headers; and those of them that are still to travel on."""

    def refused(self, headers: Iterable[Header], refused: Refused) -> str | None:
        """The id of the trace of a request that did not come as far as to begin; for the log, as a trace's."""

    async def close(self) -> None:
        """Send what waits to be sent, or give it up after a moment."""


class NoTraces:
    """Tracing is off: a client's own trace context travels on as it came."""

    def begin(self, headers: tuple[Header, ...]) -> tuple[Trace, tuple[Header, ...]]:
        return UNTRACED, headers

    def refused(self, headers: Iterable[Header], refused: Refused) -> str | None:  # noqa: ARG002
        return None

    async def close(self) -> None:
        pass
