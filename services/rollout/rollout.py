"""A rollout from its first step, or the one it had come to, to its end."""

import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from services.common.durations import written
from services.rollout.bounds import enough
from services.rollout.entry import Entry
from services.rollout.errors import InterruptedRolloutError, RefusedError, RolloutError, TakenOverError
from services.rollout.evidence import Evidence
from services.rollout.plan import Plan
from services.rollout.probes import Examiner, read_probes
from services.rollout.progress import UNFINISHED, Phase, Progress
from services.rollout.quality import compare
from services.rollout.result import Outcome, Result, Seen
from services.rollout.step import Gauge, Step, Tools, Undecided, Unfit, gateways, settle
from services.rollout.verdict import Finding, Ruling


@dataclass(frozen=True, slots=True)
class Exam:
    """A labelled probe set, and where to put its questions."""

    file: Path
    gateway: str
    key: SecretStr | None
    margin: float
    """Points of accuracy that may be lost at worst."""


class Rollout:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._seen: list[Seen] = []
        self._quality: Finding | None = None

    def start(self, plan: Plan, exam: Exam | None) -> Result:
        """Raises RefusedError, TargetError, PrometheusError where it can't begin."""
        tools = self._tools
        with tools.target.alone(plan.model), tools.clock.watching():
            entry = self.fit(plan)
            progress = Progress(plan=plan, before=entry.weights)
            if exam is not None and (refused := self._examined(progress, entry, exam)) is not None:
                return refused
            return self._run(progress, entry)

    def resume(self, model: str) -> Result:
        """Go on with the step that was under way. Raises RefusedError, TargetError."""
        tools = self._tools
        with tools.target.alone(model), tools.clock.watching():
            progress = self._kept(model)
            if progress.phase not in UNFINISHED:
                raise RefusedError(f"there is nothing to resume: {model} {progress.plan.canary} is {progress.phase}")
            return self._run(progress, tools.target.read(model))

    def rollback(self, model: str, *, unfinished: bool) -> Result:
        """Give every version the weight that it had. With `unfinished`, a canary that was promoted stays."""
        tools = self._tools
        with tools.target.alone(model), tools.clock.watching():
            progress = self._kept(model)
            done = progress.phase is Phase.ROLLED_BACK and tools.target.read(model).weights == progress.before
            if done or (unfinished and progress.phase is Phase.PROMOTED):
                return self._result(progress, Outcome(progress.phase), f"nothing to roll back: {progress.reason}")
            return self._back(progress, Outcome.ROLLED_BACK, "rolled back as asked")

    def fit(self, plan: Plan) -> Entry:
        """The model's entry, once the rollout can begin: a deployment may just be over.

        Raises RefusedError, TargetError, PrometheusError, InterruptedRolloutError.
        """
        target = self._tools.target
        entry, last = target.read(plan.model), target.progress(plan.model)
        if last is not None and last.phase in UNFINISHED and entry.weights in last.expected:
            raise RefusedError(
                f"a rollout of {plan.model} {last.plan.canary} is {last.phase} at {last.plan.steps[last.step]} %: "
                "'naru rollout resume' goes on with it, 'naru rollout rollback' takes it back"
            )
        _check_versions(entry, plan)
        self._tools.watch.reachable()
        try:
            settle(self._tools, plan, entry.weights, Gauge(self._tools, plan), canary=True)
        except Unfit as error:
            raise RefusedError(str(error)) from None
        return entry

    def outlook(self, plan: Plan) -> list[str]:
        """What would be done, and how long it takes at the present traffic. Raises as `fit` does."""
        entry = self.fit(plan)
        rate = self._tools.watch.rate()
        lines = [f"{plan.model} {plan.canary} in {self._tools.target.name}, now {entry.weights}, {rate:.3g} requests/s"]
        for step, share in enumerate(plan.steps):
            tolerated = plan.margin / 100 / plan.next_share(step)
            needed = max(plan.least, enough(0.0, min(1.0, tolerated), plan.certainty) or 0)
            weights = Progress(plan=plan, before=entry.weights, step=step).weights
            lines.append(
                f"  {share} %: {weights} for {written(plan.bake_of(step))} at least; {needed} requests of the canary"
                + (f", about {written(needed / (rate * share / 100))}" if rate else "; there is no traffic now")
            )
        return lines

    # one after the other

    def _examined(self, progress: Progress, entry: Entry, exam: Exam) -> Result | None:
        """The end of the rollout where the canary is no good, before it gets any traffic."""
        plan = progress.plan
        before = max((label for label in entry.weights if label != plan.canary), key=entry.weights.__getitem__)
        probes = read_probes(exam.file, entry.task)
        examiner = Examiner(exam.gateway, exam.key, plan.model, self._tools.clock.sleep)
        answers = []
        try:
            for version in (before, plan.canary):
                self._tools.say(f"{plan.model} {version}: {len(probes)} probes")
                answers.append(list(examiner.right(version, probes)))
        except InterruptedRolloutError as error:
            return self._result(progress, Outcome.INTERRUPTED, f"{error}, before any traffic")
        finally:
            examiner.close()
        if unanswered := answers[0].count(None):
            raise RefusedError(
                f"{before} left {unanswered} of {len(probes)} probes unanswered: nothing to compare with"
            )
        was, now = ([bool(right) for right in each] for each in answers)
        self._quality = compare(was, now, exam.margin / 100, plan.certainty)
        self._tools.say(self._quality.words)
        if self._quality.ruling is Ruling.GOOD:
            return None
        outcome = Outcome.ROLLED_BACK if self._quality.ruling is Ruling.BAD else Outcome.HELD
        return self._result(progress, outcome, f"before any traffic: {self._quality.words}")

    def _run(self, progress: Progress, entry: Entry) -> Result:
        plan = progress.plan
        try:
            others: Evidence | None = None
            for number in range(progress.step, len(plan.steps)):
                progress = self._write(progress, step=number, phase=Phase.RUNNING, reason="")
                others = self._step(progress, entry, others)
            progress = self._write(
                progress, phase=Phase.PROMOTED, reason=f"every step went well{self._tools.target.lasting}"
            )
            return self._result(progress, Outcome.PROMOTED, progress.reason)
        except Unfit as error:
            return self._back(progress, Outcome.ROLLED_BACK, str(error))
        except Undecided as error:
            return self._given_up(progress, str(error))
        except TakenOverError as error:
            return self._result(progress, Outcome.TAKEN_OVER, str(error))
        except InterruptedRolloutError as error:
            return self._interrupted(progress, str(error))
        except RolloutError as error:  # the target failed; what it had is what it should have again
            return self._back(progress, Outcome.FAILED, str(error))

    def _step(self, progress: Progress, entry: Entry, before: Evidence | None) -> Evidence | None:
        step = Step(self._tools, progress, entry, before)
        try:
            step.run()
        finally:
            self._seen.append(step.seen)
        return step.others

    def _interrupted(self, progress: Progress, reason: str) -> Result:
        if progress.plan.on_interrupt == "rollback":
            return self._back(progress, Outcome.INTERRUPTED, reason)
        return self._result(progress, Outcome.INTERRUPTED, f"{reason}; {progress.plan.canary} keeps its share")

    def _given_up(self, progress: Progress, reason: str) -> Result:
        if progress.plan.undecided == "rollback":
            return self._back(progress, Outcome.ROLLED_BACK, reason)
        progress = self._write(progress, phase=Phase.HELD, reason=reason)
        return self._result(progress, Outcome.HELD, reason)

    def _back(self, progress: Progress, outcome: Outcome, reason: str) -> Result:
        """Give every version the weight that it had, and see whether the gateways have taken it over."""
        tools, plan = self._tools, progress.plan
        tools.say(f"{plan.model} {plan.canary}: rolling back: {reason}")
        try:
            progress = self._write(progress, phase=Phase.ROLLED_BACK, reason=reason)
        except TakenOverError as error:
            return self._result(progress, Outcome.TAKEN_OVER, f"{reason}; not rolled back: {error}")
        except RolloutError as error:
            return self._result(progress, Outcome.FAILED, f"{reason}; IT COULD NOT BE ROLLED BACK: {error}")
        try:
            look = settle(tools, plan, progress.weights, Gauge(tools, plan))
            tools.say(f"{plan.model}: the weights are back on {gateways(look)}: {progress.weights}")
        except (Unfit, InterruptedRolloutError) as error:
            reason = f"{reason}; the weights are back in {tools.target.name}, but not seen in force: {error}"
        return self._result(progress, outcome, reason)

    def _write(self, progress: Progress, **changed: object) -> Progress:
        made = progress.model_copy(update={**changed, "since": time.time()})
        self._tools.target.write(made)
        return made

    def _kept(self, model: str) -> Progress:
        progress = self._tools.target.progress(model)
        if progress is None:
            raise RefusedError(f"there is no rollout of {model} in {self._tools.target.name}")
        return progress

    def _result(self, progress: Progress, outcome: Outcome, reason: str) -> Result:
        plan = progress.plan
        return Result(
            model=plan.model, canary=plan.canary, outcome=outcome, reason=reason,
            weights=self._tools.target.read(plan.model).weights,
            quality=self._quality.words if self._quality else None, steps=tuple(self._seen),
        )  # fmt: skip


def _check_versions(entry: Entry, plan: Plan) -> None:
    """Raises RefusedError."""
    version = entry.versions.get(plan.canary)
    if version is None:
        raise RefusedError(f"{plan.model} has no version {plan.canary!r}; it has: {', '.join(entry.versions)}")
    if version.mirror:
        raise RefusedError(f"{plan.canary} mirrors traffic: set its `mirror` to 0, since a shadow takes no share")
    if version.weight:
        raise RefusedError(f"{plan.canary} has weight {version.weight} already: a rollout begins at `weight: 0`")
    if not any(entry.weights.values()):
        raise RefusedError(f"no other version of {plan.model} has a weight")
