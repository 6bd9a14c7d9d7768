"""How far a rollout has come: what outlives the process that drives it."""

from enum import StrEnum

from services.common.settings import Section
from services.rollout.plan import Plan, weights_at


class Phase(StrEnum):
    RUNNING = "running"
    HELD = "held"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"


UNFINISHED = frozenset({Phase.RUNNING, Phase.HELD})


class Progress(Section):
    plan: Plan
    before: dict[str, int]
    """Every version's weight when it began."""
    step: int = 0
    phase: Phase = Phase.RUNNING
    reason: str = ""
    since: float = 0.0
    """Unix time of the last change."""

    @property
    def weights(self) -> dict[str, int]:
        """What was asked for last."""
        if self.phase is Phase.ROLLED_BACK:
            return self.before
        return self.at(self.step)

    def at(self, step: int) -> dict[str, int]:
        """The weights of a step; before the first, what was."""
        return self.before if step < 0 else weights_at(self.plan.steps[step], self.plan.canary, self.before)

    @property
    def expected(self) -> tuple[dict[str, int], ...]:
        """What may be found if nobody else changed it: it may have been killed between saying and doing."""
        if self.phase is Phase.ROLLED_BACK:
            return (self.before, *(self.at(step) for step in range(len(self.plan.steps))))
        return (self.weights, self.at(self.step - 1))
