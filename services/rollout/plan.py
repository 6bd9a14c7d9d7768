"""What was asked for: how the canary's share grows, and what it must have shown before it does."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.common.durations import Duration
from services.common.settings import Section

Share = Annotated[int, Field(ge=1, le=100)]


class Plan(Section):
    model: str
    canary: str
    """The version that is to take over."""
    steps: tuple[Share, ...] = (1, 5, 25, 50, 100)
    """The canary's share of the traffic, step by step, in per cent."""
    bake: tuple[Duration, ...] = (300.0,)
    """Seconds each step lasts at least: one for all steps, or one for each."""
    patience: Duration = 1800.0
    """Seconds after which a step that is still undecided is given up."""
    interval: Duration = 10.0
    """Seconds between two looks."""
    settle: Duration = 120.0
    """Seconds in which every gateway must have taken new weights over."""
    blind: Duration = 60.0
    """Seconds that Prometheus may be away, or what it has be old, before the canary is taken back."""
    confidence: float = Field(default=95.0, ge=50, lt=100)
    """Per cent; of each bound that a decision rests on."""
    margin: float = Field(default=1.0, gt=0, le=100)
    """Per cent of all requests that the next step may cost at worst."""
    least: int = Field(default=30, ge=1)
    """Requests that the canary must have had in a step, whatever the bounds say."""
    undecided: Literal["hold", "rollback"] = "hold"
    """What becomes of a step that is given up."""
    on_interrupt: Literal["rollback", "keep"] = "rollback"
    """What SIGINT and SIGTERM do to the canary."""

    @model_validator(mode="after")
    def _steps_lead_to_all(self) -> Self:
        if not self.steps or self.steps[-1] != 100 or any(a >= b for a, b in pairwise(self.steps)):
            raise ValueError("steps: give growing per cent that end with 100, such as 1,5,25,50,100")
        if len(self.bake) not in (1, len(self.steps)):
            raise ValueError(f"bake: give one duration, or one for each of the {len(self.steps)} steps")
        if self.patience < max(self.bake):
            raise ValueError("patience: a step can't be given up before its bake time is over")
        return self

    def bake_of(self, step: int) -> float:
        return self.bake[step] if len(self.bake) > 1 else self.bake[0]

    def next_share(self, step: int) -> float:
        """Of 1: the share that the canary gets if this step goes well."""
        return self.steps[min(step + 1, len(self.steps) - 1)] / 100

    @property
    def certainty(self) -> float:
        """`confidence`, of 1."""
        return self.confidence / 100


def weights_at(share: int, canary: str, before: dict[str, int]) -> dict[str, int]:
    """Weights that add up to 100: the canary's share, and the rest as the other versions had it before.

    Largest remainder, so that a whole number is left to each.
    """
    others = {label: weight for label, weight in before.items() if label != canary}
    total, rest = sum(others.values()), 100 - share
    exact = {label: rest * weight / total for label, weight in others.items()}
    made = {label: int(part) for label, part in exact.items()}
    for label in sorted(exact, key=lambda label: made[label] - exact[label])[: rest - sum(made.values())]:
        made[label] += 1
    return {label: share if label == canary else made[label] for label in before}
