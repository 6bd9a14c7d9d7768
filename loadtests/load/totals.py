"""What answers of one model came to. Nothing here knows locust, whose import changes a whole process."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.load.answer import Reply
from loadtests.load.histogram import Histogram
from services.gateway.registry import Slo

KINDS = ("TTFT", "TPOT", "ITL", "answer")
"""`answer`: from the request to the end of its answer."""
OK = "ok"


@dataclass(slots=True)
class Totals:
    """Of one model."""

    outcomes: Counter[str] = field(default_factory=Counter)
    good: int = 0
    """Answers that met every objective of the model."""
    tokens: int = 0
    seconds: dict[str, Histogram] = field(default_factory=lambda: {kind: Histogram() for kind in KINDS})

    @property
    def finished(self) -> int:
        return self.outcomes.total()

    @property
    def ok(self) -> int:
        return self.outcomes[OK]

    def copy(self) -> "Totals":
        seconds = {kind: found.copy() for kind, found in self.seconds.items()}
        return Totals(self.outcomes.copy(), self.good, self.tokens, seconds)

    def since(self, earlier: "Totals") -> "Totals":
        seconds = {kind: found.since(earlier.seconds[kind]) for kind, found in self.seconds.items()}
        return Totals(self.outcomes - earlier.outcomes, self.good - earlier.good, self.tokens - earlier.tokens, seconds)

    def add(self, other: "Totals") -> None:
        self.outcomes += other.outcomes
        self.good += other.good
        self.tokens += other.tokens
        for kind, found in other.seconds.items():
            self.seconds[kind] += found


def summed(replies: Sequence[Reply], slo: Slo) -> Totals:
    found = Totals(Counter(reply.error or OK for reply in replies))
    found.good = sum(is_good(reply, slo) for reply in replies)
    found.tokens = sum(reply.tokens or 0 for reply in replies)
    for kind, values in _values(replies).items():
        found.seconds[kind].add(values)
    return found


def is_good(reply: Reply, slo: Slo) -> bool:
    """It came whole and met every objective: goodput counts these (as `vllm bench serve --goodput` does)."""
    late = slo.ttft is not None and reply.first is not None and reply.first - reply.began > slo.ttft
    slow = slo.tpot is not None and (reply.tpot or 0.0) > slo.tpot
    return not (reply.error or late or slow)


def _values(replies: Sequence[Reply]) -> dict[str, list[float]]:
    """A stream that broke off keeps the TTFT that its user saw; what comes of the whole is of whole answers only."""
    whole = [reply for reply in replies if not reply.error]
    return {
        "TTFT": [reply.ttft for reply in replies if reply.ttft is not None],
        "TPOT": [reply.tpot for reply in whole if reply.tpot is not None],
        "ITL": [gap for reply in whole for gap in reply.gaps],
        "answer": [reply.ended - reply.began for reply in whole],
    }
