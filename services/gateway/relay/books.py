"""What became of every call: its metrics and its line in the request log, entered for many calls together.

To enter one call touches much code and data that relaying does not, and pushes that out of the processor's caches; for
64 calls in a row it costs half as much each.
"""

import asyncio

import msgspec

from services.gateway.answers import Answer
from services.gateway.metrics import OK, Metrics
from services.gateway.relay.meter import Meter
from services.gateway.request_log import Entry, RequestLog
from services.gateway.routing.fleet import ModelPool
from services.gateway.tracing.trace import Story
from services.gateway.upstream.endpoint import Endpoint

AT_ONCE = 64
"""Ended calls after which they are entered without waiting longer."""
WAIT = 0.05
"""Seconds one waits at most."""


class Ended(msgspec.Struct, gc=False):
    """A call that is over."""

    meter: Meter
    outcome: str
    status: int
    reason: str | None
    client_fault: bool
    pool: ModelPool
    """Which answered: the one that was asked for, or a fallback."""
    endpoint: Endpoint | None
    at: float
    """`time.perf_counter()`."""


class Books:
    def __init__(self, metrics: Metrics, log: RequestLog) -> None:
        self._metrics, self._log = metrics, log
        self._ended: list[Ended] = []
        self._timer: asyncio.TimerHandle | None = None

    def close(self, ended: Ended) -> None:
        self._ended.append(ended)
        if len(self._ended) >= AT_ONCE:
            self.settle()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT, self.settle)

    def settle(self) -> None:
        """Enter every call that is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, []
        for one in ended:
            self._enter(one)

    def _enter(self, ended: Ended) -> None:
        call, endpoint = ended.meter.call, ended.endpoint
        answer = ended.meter.answer(ended.outcome, ended.at, client_fault=ended.client_fault)
        if endpoint is None:
            promised = None if ended.client_fault else call.pool.entry.slo
            self._metrics.refused(call.operation, ended.outcome, call.pool.name, promised)
        else:
            ended.pool.instruments(call.operation, endpoint.version).record(answer)
            call.account.record(answer, ended.pool, endpoint.version, ended.meter.pieces)
        if ended.meter.cache is not None:
            self._metrics.cache_requests.labels(call.pool.name, ended.meter.cache).value += 1
        if call.trace.sampled:
            self._trace(ended, answer)
        ttft, tpot = answer.ttft, answer.tpot
        self._log.write(Entry(
            call.request_id, call.operation, ended.outcome, ended.status, ended.reason, ended.pool.name,
            endpoint.version if endpoint else None, endpoint.authority if endpoint else None, call.tenant, call.stream,
            None if ttft is None else round(ttft, 6), None if tpot is None else round(tpot, 6),
            round(ended.at - call.received, 6), answer.input_tokens, answer.output_tokens,
            ended.meter.cache, call.trace.id,
        ))  # fmt: skip

    @staticmethod
    def _trace(ended: Ended, answer: Answer) -> None:
        call, endpoint = ended.meter.call, ended.endpoint
        call.trace.end(Story(
            operation=call.operation, model=ended.pool.name, version=endpoint.version if endpoint else None,
            tenant=call.tenant, request_id=call.request_id, path=call.path, stream=call.stream, outcome=ended.outcome,
            ok=ended.outcome == OK, status=ended.status, reason=ended.reason, received=call.received, ended=ended.at,
            first_token=answer.first_token, last_token=answer.last_token, input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens, body=call.body,
        ))  # fmt: skip
        if endpoint is not None and call.trace.id is not None:
            ended.pool.instruments(call.operation, endpoint.version).exemplify(answer, call.trace.id)
