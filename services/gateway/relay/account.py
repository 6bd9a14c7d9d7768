"""What the relay needs of quotas: whether a call may run, and whom to tell what it used."""

from collections.abc import Sequence
from typing import Protocol

from services.common.errors import NaruError
from services.gateway.answers import Answer
from services.gateway.relay.dialects import Usage
from services.gateway.routing.fleet import ModelPool
from services.gateway.upstream.request import Header

LIMIT_HEADER = b"x-naru-limit"
"""Names the limit that refused a call."""


class Applicant(Protocol):
    """Who asks: a relay."""

    def permitted(self) -> None:
        """The call may run."""

    def abort(self, error: NaruError) -> None:
        """It may not."""


class Account(Protocol):
    """One call's, with whoever pays for it."""

    @property
    def headers(self) -> Sequence[Header]:
        """What the answer's head says of the caller's limits."""

    def lines(self) -> bytes:
        """The same, as lines of a head."""

    def open(self, applicant: Applicant) -> None:
        """Calls `permitted` or `abort`: at once, or later where the answer is to be fetched."""

    def close(self, outcome: str, usage: Usage, pieces: int) -> None:
        """The call is over, however it ended: its limits are charged, and its stream is given back.

        `pieces`: the events with content that its client was sent.
        """

    def record(self, answer: Answer, pool: ModelPool, version: str, pieces: int) -> None:
        """Write down, some time later, what a call that went to this version used."""


class Nobody:
    """The account of a call that nobody pays for."""

    headers: Sequence[Header] = ()

    def lines(self) -> bytes:
        return b""

    def open(self, applicant: Applicant) -> None:
        applicant.permitted()

    def close(self, outcome: str, usage: Usage, pieces: int) -> None:
        pass

    def record(self, answer: Answer, pool: ModelPool, version: str, pieces: int) -> None:
        pass


NOBODY = Nobody()
