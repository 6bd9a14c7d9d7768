"""Whether a canary may go on. Pure: evidence in, findings out.

Each finding rests on an interval that holds at every look (`bounds.py`), not on what was counted alone:

- **bad**: the canary is surely worse than was promised, and surely worse than the other versions were meanwhile;
- **good**: at worst, the next step costs at most `margin` of all requests. A first step of 1 per cent therefore needs a
  handful of requests, and the last one hundreds: what must be shown grows with what is at stake;
- **undecided**: too little was seen, or the other versions do no better.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from services.common.durations import written
from services.rollout.bounds import Interval, enough
from services.rollout.entry import Slo
from services.rollout.evidence import Evidence, Histogram, Share
from services.rollout.plan import Plan


class Ruling(StrEnum):
    GOOD = "good"
    BAD = "bad"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Finding:
    what: str
    ruling: Ruling
    words: str
    """With the numbers that it rests on."""


def overall(findings: Sequence[Finding]) -> Ruling:
    rulings = {finding.ruling for finding in findings}
    if Ruling.BAD in rulings:
        return Ruling.BAD
    return Ruling.GOOD if rulings == {Ruling.GOOD} else Ruling.UNDECIDED


def judge(canary: Evidence, stable: Evidence, slo: Slo, plan: Plan, next_share: float) -> list[Finding]:
    """`stable`: of the other versions; `next_share`: what the canary gets if it is good, of 1."""
    if canary.requests < plan.least:
        return [_few(canary, plan)]
    return list(_findings(canary, stable, slo, Scale(plan, canary.requests, next_share, 1 - slo.percentile / 100)))


def _few(canary: Evidence, plan: Plan) -> Finding:
    failed = f", {canary.failed.count} of them failed" if canary.failed.count else ""
    words = f"too little to judge: {plan.canary} had {canary.requests} requests{failed}; {plan.least} are asked for"
    return Finding("traffic", Ruling.UNDECIDED, words)


@dataclass(frozen=True, slots=True)
class Scale:
    """What is tolerated where."""

    plan: Plan
    requests: int
    """The canary's."""
    next_share: float
    slow: float
    """The share that may be later than its objective."""

    def tolerated(self, of: int) -> float:
        """The share, above what is promised, of what `of` of the requests show, that costs at most the margin."""
        return self.plan.margin / 100 / (self.next_share * of / self.requests)

    def interval(self, count: int, of: int) -> Interval:
        return Interval.at_any_time(count, of, self.plan.certainty)


def _findings(canary: Evidence, stable: Evidence, slo: Slo, scale: Scale) -> Iterator[Finding]:
    margin = scale.plan.margin / 100
    allowed = margin if slo.availability is None else 1 - slo.availability / 100
    yield _compared("failed", canary.failed, stable.failed, allowed, scale)
    yield _compared("refused by the engine", canary.refused, stable.refused, margin, scale)
    yield _compared("given up by clients", canary.given_up, stable.given_up, margin, scale)
    yield from _timed("first token", canary.ttft, stable.ttft, slo.ttft, scale)
    yield from _timed("a token", canary.tpot, stable.tpot, slo.tpot, scale)


def _timed(
    what: str, canary: Histogram, stable: Histogram, objective: float | None, scale: Scale
) -> Iterator[Finding]:  # fmt: skip
    """Without an objective, slow is what as few of the other versions' answers are."""
    if canary.total == 0 or (objective is None and stable.total < scale.plan.least):
        return  # none of its answers shows this, or there is nothing to hold it against
    threshold = stable.quantile(1 - scale.slow) if objective is None else objective
    name = f"{what} later than {written(threshold)}"
    yield _compared(name, canary.slower(threshold), stable.slower(threshold), scale.slow, scale)


def _compared(what: str, canary: Share, stable: Share, allowed: float, scale: Scale) -> Finding:
    plan = scale.plan
    comparable = stable.of >= plan.least
    low = scale.interval(canary.count, canary.of).low
    high = scale.interval(canary.maybe, canary.of).high
    others = scale.interval(stable.count, stable.of)
    limit = max(allowed, stable.value if comparable else 0.0) + scale.tolerated(canary.of)
    seen = f"{what}: {_counted(canary)}"
    beside = f"; the other versions {_counted(stable)}" if comparable else ""
    if low > max(allowed, others.high if comparable else 0.0):
        than = f", at most {_percent(others.high)}" if comparable else ""
        return Finding(what, Ruling.BAD, f"{seen}, at least {_percent(low)}{beside}{than}; {_percent(allowed)} allowed")
    if high <= limit:
        return Finding(what, Ruling.GOOD, f"{seen}, at most {_percent(high)} (limit {_percent(limit)}){beside}")
    if low > allowed:
        return Finding(what, Ruling.UNDECIDED, f"{seen}, at least {_percent(low)}, but as much elsewhere{beside}")
    more = enough(canary.maybe / canary.of, limit, plan.certainty)
    hint = "" if more is None else f": about {max(1, more - canary.of)} more would tell"
    words = f"{seen}, up to {_percent(high)} (limit {_percent(limit)}){hint}{beside}"
    return Finding(what, Ruling.UNDECIDED, words)


def _counted(share: Share) -> str:
    maybe = f" to {share.maybe}" if share.maybe > share.count else ""
    return f"{share.count}{maybe} of {share.of} ({_percent(share.value)})"


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
