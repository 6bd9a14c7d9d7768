"""One step: the canary has its share, and is watched until it is decided."""

from collections.abc import Callable
from dataclasses import dataclass

from services.common.durations import written
from services.rollout.clock import Clock
from services.rollout.entry import Entry
from services.rollout.errors import PrometheusError, RolloutError, TakenOverError, TargetError
from services.rollout.evidence import Evidence, evidence
from services.rollout.look import Look, Watch
from services.rollout.plan import Plan
from services.rollout.progress import Progress
from services.rollout.result import Seen
from services.rollout.tally import Tally
from services.rollout.targets.target import Target
from services.rollout.verdict import Finding, Ruling, judge, overall

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Tools:
    """What every part of a rollout works with."""

    target: Target
    watch: Watch
    clock: Clock
    say: Say
    """Takes a line on how it goes."""


class Unfit(Exception):
    """The canary goes back: the message says why."""


class Undecided(Exception):
    """The step is given up: the message says why."""


def gateways(look: Look) -> str:
    return "1 gateway" if len(look.shares) == 1 else f"{len(look.shares)} gateways"


class Gauge:
    """Looks at the gateways, and bears it for a while where they can't be seen."""

    def __init__(self, tools: Tools, plan: Plan) -> None:
        self._tools, self._plan = tools, plan
        self._seen = tools.clock.now()
        self._said = ""

    def look(self) -> Look | None:
        """None where there is nothing fresh to be seen. Raises Unfit once that lasts too long."""
        now, blind = self._tools.clock.now(), self._plan.blind
        try:
            found = self._tools.watch.look()
            fault = f"what Prometheus has of a gateway is {written(found.age)} old" if found.age > blind else ""
        except PrometheusError as error:
            found, fault = None, str(error)
        if not fault:
            self._seen, self._said = now, ""
            return found
        if now - self._seen > blind:
            raise Unfit(f"nobody can watch the canary: {fault} (for {written(now - self._seen)})")
        if fault != self._said:
            self._tools.say(fault)
        self._said = fault
        return None


def settle(tools: Tools, plan: Plan, weights: dict[str, int], gauge: Gauge, *, canary: bool = False) -> Look:
    """Wait until every gateway has the weights, and with `canary` until one has an endpoint of it. Raises Unfit."""
    deadline, said = tools.clock.now() + plan.settle, ""
    while True:
        look = gauge.look()
        if look is not None:
            fault = _behind(look, weights) or (_unwell(look, plan.canary) if canary else "")
            if not fault:
                return look
            if fault != said:
                tools.say(f"waiting: {fault}")
            said = fault
        if tools.clock.now() > deadline:
            raise Unfit(f"not within {written(plan.settle)}: {said or 'nothing was seen of the gateways'}")
        tools.clock.sleep(min(plan.interval, 1.0))


def _behind(look: Look, weights: dict[str, int]) -> str:
    """What is said of the gateways that have other weights."""
    behind = look.not_at(weights)
    if not behind:
        return ""
    names = "; ".join(", ".join(f"{key}={value}" for key, value in sorted(each)) for each in behind)
    return (
        f"{len(behind)} of {gateways(look)} have not taken the weights over ({names}): their logs say why, and "
        "naru_config_last_reload_successful whether they refused"
    )


def _unwell(look: Look, canary: str) -> str:
    return "" if look.well(canary) else f"{canary} has no healthy endpoint on any of {gateways(look)}"


class Step:
    def __init__(self, tools: Tools, progress: Progress, entry: Entry, before: Evidence | None) -> None:
        """`before`: what the other versions showed in the step before, for when they have no traffic left."""
        self._tools, self._progress, self._plan = tools, progress, progress.plan
        self._slo, self._before = entry.slo, before
        self._gauge = Gauge(tools, self._plan)
        self._began = tools.clock.now()
        self._unwell = 0
        self._strange = False
        self._findings: list[Finding] = []
        self._requests = 0
        self.others: Evidence | None = before

    @property
    def seen(self) -> Seen:
        return Seen(
            share=self._plan.steps[self._progress.step], seconds=round(self._tools.clock.now() - self._began, 1),
            ruling=overall(self._findings) if self._findings else Ruling.UNDECIDED, requests=self._requests,
            findings=tuple(finding.words for finding in self._findings),
        )  # fmt: skip

    def run(self) -> None:
        """Returns once the canary may go on. Raises Unfit, Undecided, TakenOverError, InterruptedRolloutError."""
        settled = settle(self._tools, self._plan, self._progress.weights, self._gauge)
        self._began = self._tools.clock.now()
        self._say(f"in force on {gateways(settled)}")
        tally = Tally(settled)
        while True:
            self._tools.clock.sleep(self._plan.interval)
            self._still_ours()
            look = self._gauge.look()
            if look is not None:
                self._check(look)
                tally.add(look)
            if self._done(tally):
                return

    def _done(self, tally: Tally) -> bool:
        """Whether it is decided, and for good."""
        ruling = self._judged(tally)
        elapsed = self._tools.clock.now() - self._began
        worst = [finding.words for finding in self._findings if finding.ruling is ruling]
        if ruling is Ruling.BAD:
            raise Unfit("; ".join(worst))
        if ruling is Ruling.GOOD:
            bake = self._plan.bake_of(self._progress.step)
            self._say(f"{written(elapsed)} of {written(bake)}, {self._requests} requests, nothing against it")
            return elapsed >= bake
        further = f" (and {len(worst) - 1} more)" if len(worst) > 1 else ""
        self._say(f"{written(elapsed)}, undecided: {worst[0]}{further}")
        if elapsed >= self._plan.patience:
            raise Undecided(f"undecided after {written(elapsed)}: {'; '.join(worst)}")
        return False

    def _judged(self, tally: Tally) -> Ruling:
        canary = evidence(tally, lambda version: version == self._plan.canary)
        others = evidence(tally, lambda version: version not in (self._plan.canary, ""))
        if others.requests >= self._plan.least or self._before is None:
            self.others = others
        assert self.others is not None
        share = self._plan.next_share(self._progress.step)
        self._findings = judge(canary, self.others, self._slo, self._plan, share)
        self._requests = canary.requests
        return overall(self._findings)

    def _still_ours(self) -> None:
        """Raises TakenOverError, TargetError, each at the second look in a row: a file may still be being written."""
        fault = self._changed()
        if fault is not None and self._strange:
            raise fault
        self._strange = fault is not None

    def _changed(self) -> RolloutError | None:
        model = self._plan.model
        try:
            found = self._tools.target.read(model).weights
        except TargetError as error:
            return error
        if found == self._progress.weights:
            return None
        return TakenOverError(f"somebody else gave {model} the weights {found}: they stay as they are")

    def _check(self, look: Look) -> None:
        """Raises Unfit where no gateway has a healthy endpoint of the canary, twice in a row."""
        fault = _unwell(look, self._plan.canary)
        self._unwell = self._unwell + 1 if fault else 0
        if self._unwell > 1:
            raise Unfit(fault)

    def _say(self, line: str) -> None:
        plan = self._plan
        self._tools.say(f"{plan.model} {plan.canary} at {plan.steps[self._progress.step]} %: {line}")
