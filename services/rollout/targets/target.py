"""Where weights are kept, and with them how far a rollout has come."""

from contextlib import AbstractContextManager
from typing import Protocol

from services.rollout.entry import Entry
from services.rollout.progress import Progress


class Target(Protocol):
    """Each raises TargetError."""

    @property
    def name(self) -> str:
        """For people."""

    def read(self, model: str) -> Entry: ...

    def progress(self, model: str) -> Progress | None:
        """Of the last rollout of this model."""

    def write(self, progress: Progress) -> None:
        """Keep the progress, and give the versions its weights. Raises TakenOverError where it is not as expected."""

    def alone(self, model: str) -> AbstractContextManager[None]:
        """While this process drives the model's rollout. Raises RefusedError where another one does."""
