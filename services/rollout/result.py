"""What a rollout came to, for people and for programs."""

from enum import StrEnum
from typing import Any

from services.common.settings import Section
from services.rollout.verdict import Ruling


class Outcome(StrEnum):
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    HELD = "held"
    TAKEN_OVER = "taken_over"
    INTERRUPTED = "interrupted"
    FAILED = "failed"

    @property
    def exit_code(self) -> int:
        """1 and 2 are errors: of the work, and of the command line."""
        return {"promoted": 0, "rolled_back": 3, "held": 4, "taken_over": 5, "interrupted": 130}.get(self, 1)


class Seen(Section):
    """One step, as it was when it ended."""

    share: int
    """Per cent."""
    seconds: float
    ruling: Ruling
    requests: int
    """The canary's."""
    findings: tuple[str, ...]


class Result(Section):
    model: str
    canary: str
    outcome: Outcome
    reason: str
    weights: dict[str, int]
    """As they were left."""
    quality: str | None = None
    """What the probe set said."""
    steps: tuple[Seen, ...] = ()

    def json_ready(self) -> dict[str, Any]:
        return {**self.model_dump(mode="json"), "exit_code": self.outcome.exit_code}

    def text(self) -> str:
        lines = [f"{self.model} {self.canary}: {self.outcome.replace('_', ' ')}: {self.reason}"]
        if self.quality:
            lines.append(f"  {self.quality}")
        for step in self.steps:
            lines.append(f"  {step.share} % for {step.seconds:.0f} s, {step.requests} requests: {step.ruling}")
            lines += [f"    {finding}" for finding in step.findings]
        weights = ", ".join(f"{version} {weight}" for version, weight in self.weights.items())
        return "\n".join([*lines, f"  weights: {weights}"])
