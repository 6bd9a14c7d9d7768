"""What one answer came to, and where that is entered: its version's metrics."""

from collections.abc import Callable

import msgspec

from services.gateway.instruments import Count
from services.gateway.metrics import BLAMELESS, OK, Metrics
from services.gateway.registry import Slo

Observe = Callable[[float], None]


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What one request came to, as the client felt it. Times in seconds of one monotonic clock."""

    outcome: str
    client_fault: bool
    """The request was refused for what it is (4xx): no objective is judged by it."""
    stream: bool
    tenant: str
    received: float
    """The request's last byte was here."""
    dispatched: float | None
    """The first attempt began."""
    ended: float
    first_byte: float | None = None
    first_token: float | None = None
    last_token: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    overhead: float | None = None
    """What the gateway itself added: before the upstream had the request, and from its first content to ours."""

    @property
    def ttft(self) -> float | None:
        return None if self.first_token is None else self.first_token - self.received

    @property
    def tpot(self) -> float | None:
        """Defined for a whole streamed answer of two tokens or more (MLPerf's definition)."""
        if not self.stream or self.outcome != OK or (self.output_tokens or 0) < 2:
            return None
        if self.first_token is None or self.last_token is None:
            return None
        return (self.last_token - self.first_token) / ((self.output_tokens or 0) - 1)


class VersionMetrics:
    """One operation on one version of one model: its instruments' children, looked up once."""

    def __init__(self, metrics: Metrics, operation: str, model: str, version: str, slo: Slo) -> None:
        self._metrics, self._slo = metrics, slo
        self._operation, self._model, self._version = operation, model, version
        labels = self._labels = (operation, model, version)
        self._ttft = {s: metrics.ttft.labels(*labels, str(s).lower()).observe for s in (True, False)}
        self._tpot = metrics.tpot.labels(*labels).observe
        self._first_byte = metrics.first_byte.labels(*labels).observe
        self._overhead = metrics.overhead.labels(*labels).observe
        self._queue_wait = metrics.queue_wait.labels(*labels).observe
        self._input, self._output = (metrics.token_usage.labels(*labels, kind).observe for kind in ("input", "output"))
        self._judged = {
            objective: {met: metrics.slo.labels(model, objective, str(met).lower()) for met in (True, False)}
            for objective, _ in slo.targets()
        }  # fmt: skip
        self._good = metrics.good.labels(model, version)
        self._outcomes: dict[str, tuple[Count, Observe]] = {}
        self._tokens: dict[str, tuple[Count, Count]] = {}
        self.content_gap = metrics.itl.labels(*labels).observe
        """Takes one inter-token latency, in seconds."""

    def record(self, answer: Answer) -> None:
        """Everything about one request, once, at its end."""
        outcome, received = answer.outcome, answer.received
        requests, duration = self._outcomes.get(outcome) or self._outcome(outcome)
        requests.value += 1
        duration(answer.ended - received)
        ttft = None
        if answer.first_token is not None:
            ttft = answer.first_token - received
            self._ttft[answer.stream](ttft)
        tpot = answer.tpot if answer.stream else None
        if tpot is not None:
            self._tpot(tpot)
        if answer.first_byte is not None:
            self._first_byte(answer.first_byte - received)
        if answer.dispatched is not None:
            self._queue_wait(answer.dispatched - received)
        if answer.overhead is not None:
            self._overhead(answer.overhead)
        self._record_tokens(answer)
        if not answer.client_fault and outcome not in BLAMELESS:
            self._record_slo(ttft, tpot, ok=outcome == OK)

    def exemplify(self, answer: Answer, trace_id: str) -> None:
        """Let a trace stand for what `record` observed."""
        metrics, labels = self._metrics, self._labels
        error = "" if answer.outcome == OK else answer.outcome
        metrics.duration.labels(*labels, error).exemplify(answer.ended - answer.received, trace_id)
        if answer.ttft is not None:
            metrics.ttft.labels(*labels, str(answer.stream).lower()).exemplify(answer.ttft, trace_id)
        if answer.tpot is not None:
            metrics.tpot.labels(*labels).exemplify(answer.tpot, trace_id)

    def _outcome(self, outcome: str) -> tuple[Count, Observe]:
        """`error_type` is empty for a success."""
        made = self._outcomes[outcome] = (
            self._metrics.requests.labels(self._operation, self._model, self._version, outcome),
            self._metrics.duration.labels(*self._labels, "" if outcome == OK else outcome).observe,
        )
        return made

    def _record_tokens(self, answer: Answer) -> None:
        given, made = answer.input_tokens, answer.output_tokens
        if given is None and made is None:
            return
        input_tokens, output_tokens = self._tokens.get(answer.tenant) or self._tenant(answer.tenant)
        if given is not None:
            self._input(given)
            input_tokens.value += given
        if made is not None:
            self._output(made)
            output_tokens.value += made

    def _tenant(self, tenant: str) -> tuple[Count, Count]:
        total = self._metrics.tokens.labels
        made = self._tokens[tenant] = (
            total(self._model, self._version, tenant, "input"), total(self._model, self._version, tenant, "output"),
        )  # fmt: skip
        return made

    def _record_slo(self, ttft: float | None, tpot: float | None, *, ok: bool) -> None:
        judged, good = self._judged, ok
        if self._slo.availability is not None:
            judged["availability"][ok].value += 1
        if self._slo.ttft is not None:
            met = ok and ttft is not None and ttft <= self._slo.ttft
            good = good and met
            judged["ttft"][met].value += 1
        if self._slo.tpot is not None and (tpot is not None or not ok):
            met = ok and (tpot or 0.0) <= self._slo.tpot
            good = good and met
            judged["tpot"][met].value += 1
        if good:
            self._good.value += 1
