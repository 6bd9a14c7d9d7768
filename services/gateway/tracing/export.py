"""Makes OpenTelemetry spans of what became of a request, and sends them to a collector (OTLP over HTTP).

Imported only where tracing is on. The spans are made once the request is over, and sent by a thread of the SDK's; what
a collector that is slow or away leaves unsent beyond `MOST` spans is thrown away, which the SDK logs.
"""

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Iterable, Iterator
from time import perf_counter, time_ns

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

from services.gateway.settings import TracingSettings
from services.gateway.tracing.context import CONTEXT, Header, parent_of, unrecorded
from services.gateway.tracing.trace import Attempted, Recorded, Refused, Story, Trace, Unsampled

MOST, AT_ONCE, EVERY = 8192, 64, 1000.0
"""Spans that wait at most, that are sent at once (few: to encode them takes the interpreter's lock), and milliseconds
between two sendings."""
GRACE = 2.0
"""Seconds at the end for what is still unsent."""
LONGEST_CONTENT = 16 * 2**10
"""Characters of a prompt or an answer that are recorded, where they are."""
_BITS = (1 << 64) - 1
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE, _FINE = InstrumentationScope("naru.gateway"), Status()


class OtlpTraces:
    """A share of the traces that begin here is recorded; one that began elsewhere is as its parent says."""

    def __init__(self, settings: TracingSettings, endpoint: str) -> None:
        self._bound = round(settings.sample * (1 << 64))  # as the SDK's TraceIdRatioBased compares
        self._content = settings.content
        self._random = random.Random()  # noqa: S311 - as the SDK's own ids: unique, not secret
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=5)
        self._processor = BatchSpanProcessor(self._exporter, MOST, EVERY, AT_ONCE)
        self._resource = Resource.create({"service.name": "naru-gateway"})

    def begin(self, headers: tuple[Header, ...]) -> tuple[Trace, tuple[Header, ...]]:
        for header in headers:
            if header[0] in CONTEXT:
                return self._joined(headers)
        return self._begun(), headers

    def _joined(self, headers: tuple[Header, ...]) -> tuple[Trace, tuple[Header, ...]]:
        parent = parent_of(headers)
        if parent is not None and not parent.sampled:
            return Unsampled(f"{parent.trace:032x}", b""), headers  # we add nothing to it: it travels on as it came
        travels = tuple(header for header in headers if header[0] not in CONTEXT)
        if parent is None:
            return self._begun(), travels
        return Recorded(parent.trace, parent, self, content=self._content), travels

    def _begun(self) -> Trace:
        trace = self._random.getrandbits(128) | 1  # neither it nor its half is zero, which no id may be
        if trace & _BITS < self._bound:
            return Recorded(trace, None, self, content=self._content)
        name = f"{trace:032x}"
        return Unsampled(name, unrecorded(name))

    def refused(self, headers: Iterable[Header], refused: Refused) -> str | None:
        parent = parent_of(headers)
        trace = self._random.getrandbits(128) | 1 if parent is None else parent.trace
        # Who has no key can't ask to be recorded: that would let anybody fill the collector.
        if self.new_span() < self._bound if parent is None or refused.status == 401 else parent.sampled:
            came_from = None if parent is None else _context(trace, parent.span, is_remote=True)
            self._make(_whole_refused(refused), trace, _offset(), came_from)
        return f"{trace:032x}"

    async def close(self) -> None:
        # The exporter may be waiting for a collector that is away: a daemon thread keeps no process alive.
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def send() -> None:
            self._processor.shutdown()  # type: ignore[no-untyped-call] # the SDK's
            with contextlib.suppress(RuntimeError):  # the loop was not waited for and is closed
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, daemon=True).start()
        try:
            await asyncio.wait_for(sent.wait(), GRACE)
        except TimeoutError:
            # Else it would go on trying for half a minute.
            self._exporter.shutdown()  # type: ignore[no-untyped-call] # the SDK's

    def new_span(self) -> int:
        return self._random.getrandbits(64) or 1

    # once the request is over

    def record(self, trace: Recorded, story: Story) -> None:
        offset, parent = _offset(), trace.parent
        came_from = None if parent is None else _context(trace.trace, parent.span, is_remote=True)
        root = self._make(_whole(trace, story), trace.trace, offset, came_from)
        for timed in _parts(trace, story):
            self._make(timed, trace.trace, offset, root)

    def _make(self, timed: "_Timed", trace: int, offset: int, under: SpanContext | None) -> SpanContext:
        """A span that is over as it is made needs no tracer: its locks, sampler and limits take seven times as long."""
        context = _context(trace, timed.number or self.new_span())
        began, ended = offset + int(timed.began * 1e9), offset + int(max(timed.began, timed.ended) * 1e9)
        self._processor.on_end(ReadableSpan(
            timed.name, context, under, self._resource, timed.attributes, kind=timed.kind,
            status=_FINE if timed.error is None else Status(StatusCode.ERROR, timed.error),
            start_time=began, end_time=ended, instrumentation_scope=_SCOPE,
        ))  # fmt: skip
        return context


class _Timed(msgspec.Struct, frozen=True):
    """What a span will be. Times are `time.perf_counter()`'s; a `number` of 0 is a new one."""

    name: str
    began: float
    ended: float
    number: int = 0
    kind: SpanKind = SpanKind.INTERNAL
    attributes: dict[str, AttributeValue] | None = None
    error: str | None = None


def _offset() -> int:
    """Nanoseconds from `time.perf_counter()`'s beginning to Unix time's."""
    return time_ns() - int(perf_counter() * 1e9)


def _whole(trace: Recorded, story: Story) -> _Timed:
    error = None if story.ok else story.reason or story.outcome
    return _Timed(
        f"{story.operation} {story.model}", trace.entered or story.received, story.ended, trace.span, SpanKind.SERVER,
        _attributes(trace, story), error,
    )  # fmt: skip


def _whole_refused(refused: Refused) -> _Timed:
    attributes: dict[str, AttributeValue] = {
        "gen_ai.operation.name": refused.operation, "gen_ai.provider.name": "naru",
        "http.route" if refused.route.startswith("/") else "rpc.service": refused.route,
        "http.response.status_code": refused.status, "error.type": refused.outcome,
        "naru.outcome": refused.outcome, "naru.request_id": refused.request_id,
    }  # fmt: skip
    return _Timed(
        refused.operation, refused.began, refused.ended, kind=SpanKind.SERVER, attributes=attributes,
        error=refused.reason or refused.outcome,
    )  # fmt: skip


def _parts(trace: Recorded, story: Story) -> Iterator[_Timed]:
    if trace.entered:
        yield _Timed("authenticate", trace.entered, trace.authenticated)
    yield _Timed("queue", story.received, trace.proceeded or story.ended)
    if not trace.attempts:
        return
    began = trace.attempts[0].began
    yield _Timed("route", trace.proceeded or story.received, began)
    for one in trace.attempts:
        ended = story.ended if one.ended is None else one.ended
        yield _Timed("attempt", one.began, ended, one.span, SpanKind.CLIENT, _where(one), one.failed)
    if story.first_token is not None:
        yield _Timed("first_token", began, story.first_token)
        if story.stream:
            yield _Timed("stream", story.first_token, story.last_token or story.ended)


def _context(trace: int, span: int, *, is_remote: bool = False) -> SpanContext:
    return SpanContext(trace, span, is_remote, _SAMPLED)


def _attributes(trace: Recorded, story: Story) -> dict[str, AttributeValue]:
    """By OpenTelemetry's semantic conventions for generative AI, and our own under `naru.`"""
    found: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": story.operation, "gen_ai.provider.name": "naru",
        "gen_ai.request.model": story.model, "gen_ai.request.stream": story.stream,
        "gen_ai.usage.input_tokens": story.input_tokens, "gen_ai.usage.output_tokens": story.output_tokens,
        "gen_ai.response.time_to_first_chunk":
            None if story.first_token is None else story.first_token - story.received,
        "http.request.method": "POST", "url.path": story.path, "http.response.status_code": story.status,
        "error.type": None if story.ok else story.outcome,
        "naru.version": story.version, "naru.tenant": story.tenant, "naru.outcome": story.outcome,
        "naru.request_id": story.request_id,
    }  # fmt: skip
    if trace.said is not None:
        found["gen_ai.input.messages"] = _input(story.body)
        found["gen_ai.output.messages"] = "".join(trace.said)[:LONGEST_CONTENT]
    return {name: value for name, value in found.items() if value is not None}


def _input(body: bytes) -> str | None:
    try:
        fields = json.loads(body)
    except ValueError:
        return None
    given = fields.get("messages", fields.get("input", fields.get("prompt"))) if isinstance(fields, dict) else None
    return None if given is None else json.dumps(given, ensure_ascii=False)[:LONGEST_CONTENT]


def _where(attempt: Attempted) -> dict[str, AttributeValue]:
    host, _, port = attempt.authority.rpartition(":")
    return {"server.address": host.strip("[]"), "server.port": int(port), "naru.endpoint": attempt.authority}
