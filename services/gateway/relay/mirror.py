"""Mirrored traffic: a shadow version gets copies of requests; its answers are measured and dropped.

A copy is nobody's request: no tenant is charged, no objective judged, and whatever becomes of it, the client's own
request neither waits nor fails. It starts once that one is on its way to an engine: what is refused, or answered from
the cache, is not copied. Only so many run at once.
"""

import asyncio
import random
from dataclasses import replace
from time import perf_counter

from services.common.errors import NoHealthyEndpoint, UpstreamError, UpstreamTruncated
from services.gateway.metrics import OK
from services.gateway.relay.cached import CachedRelay
from services.gateway.relay.call import Call
from services.gateway.relay.context import RelayContext
from services.gateway.relay.relay import ENGINE_REFUSED, Relay
from services.gateway.relay.sse import EventSplitter, EventTooLargeError, payload
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers
from services.gateway.upstream.request import encode

SKIPPED = "skipped"
"""Outcome: too many copies were running, so none was sent."""


class Mirror:
    """At most `most` copies run at once."""

    def __init__(self, context: RelayContext, most: int, draw: random.Random) -> None:
        self._context, self._most, self._draw = context, most, draw
        self._metrics = context.metrics
        self._running: set[_Copy] = set()

    def copy(self, call: Call) -> None:
        """Soon, send a copy of this call to each shadow version that draws it."""
        for version, percent in call.pool.shadows.items():
            if version != call.hints.version and self._draw.random() * 100 < percent:
                asyncio.get_running_loop().call_soon(self._send, call, version)

    def close(self) -> None:
        """End what still runs, unmeasured."""
        for copy in list(self._running):
            copy.exchange.cancel()
        self._running.clear()

    def _send(self, call: Call, version: str) -> None:
        if len(self._running) >= self._most:
            self._count(call, version, SKIPPED)
            return
        endpoint = call.pool.pick(replace(call.hints, version=version), frozenset())
        if endpoint is None:
            self._count(call, version, NoHealthyEndpoint.reason)
            return
        copy = _Copy(self, self._context, call, endpoint)
        self._running.add(copy)
        copy.exchange.start()

    def ended(self, copy: "_Copy", call: Call, version: str, outcome: str) -> None:
        self._running.discard(copy)
        self._metrics.mirrored_duration.labels(call.pool.name, version).observe(perf_counter() - copy.began)
        self._count(call, version, outcome)

    def _count(self, call: Call, version: str, outcome: str) -> None:
        self._metrics.mirrored.labels(call.pool.name, version, outcome).inc()


class MirroredRelay(Relay):
    """Of a model that has shadow versions."""

    mirror: Mirror

    def proceed(self) -> None:
        super().proceed()
        if not self.over:
            self.mirror.copy(self._call)


class MirroredCachedRelay(CachedRelay):
    """And a cache."""

    mirror: Mirror

    def proceed(self) -> None:
        super().proceed()
        if not self.over:
            self.mirror.copy(self._call)


class _Copy:
    """One copy, and the sink of its answer."""

    def __init__(self, mirror: Mirror, context: RelayContext, call: Call, endpoint: Endpoint) -> None:
        self._mirror, self._call, self._version = mirror, call, endpoint.version
        self.began = perf_counter()
        limits = call.pool.resilience.limits_of(streamed=call.stream)
        request = encode("POST", call.path, endpoint, call.head, call.body)
        self.exchange = Exchange(endpoint, request, self, limits)
        self._splitter = EventSplitter(context.max_event)
        self._status = 0
        self._done = not call.stream
        self._failed = False

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - a sink's signature
        self._status = status

    def on_data(self, data: bytes) -> None:
        if not self._call.stream or self._status >= 400:
            return
        self.exchange.content_began()
        try:
            events = self._splitter.feed(data)
        except EventTooLargeError:
            self.exchange.cancel()
            self._end(UpstreamError.reason)
            return
        for event in events:
            reading = self._call.dialect.read_event(payload(event))
            self._done = self._done or reading.done
            self._failed = self._failed or reading.failed

    def on_end(self) -> None:
        if 400 <= self._status < 500:
            self._end(ENGINE_REFUSED)
        elif self._status >= 500 or self._failed:
            self._end(UpstreamError.reason)
        else:
            self._end(OK if self._done else UpstreamTruncated.reason)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.on_head(status, headers)
        self.on_data(body)
        self.on_end()

    def on_fail(self, error: UpstreamError) -> None:
        self._end(error.reason)

    def _end(self, outcome: str) -> None:
        self._mirror.ended(self, self._call, self._version, outcome)
