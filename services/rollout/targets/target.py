"""Where weights are kept, and with them how far a rollout has come."""

from contextlib import AbstractContextManager
from typing import Protocol

from services.rollout.entry import Entry
from services.rollout.errors import TakenOverError
from services.rollout.progress import Progress


class Target(Protocol):
    """Each raises TargetError."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def lasting(self) -> str:
        """What is left to do for the weights to last; empty where nothing is."""

    def read(self, model: str) -> Entry: ...

    def progress(self, model: str) -> Progress | None:
        """Of the last rollout of this model."""

    def write(self, progress: Progress) -> None:
        """Keep the progress, and give the versions its weights. Raises TakenOverError where it is not as expected."""

    def alone(self, model: str) -> AbstractContextManager[None]:
        """While this process drives the model's rollout. Raises RefusedError where another one does."""


def weights_found(target: Target, progress: Progress) -> dict[str, int]:
    """The weights before `progress` is written. Raises TargetError, TakenOverError where they are not as expected."""
    model = progress.plan.model
    found = target.read(model).weights
    last = target.progress(model) or progress
    if found not in (*last.expected, *progress.expected):
        raise TakenOverError(f"{target.name} has the weights {found} for {model}, and not those of the rollout")
    return found
