"""What the relay needs of admission: when a call's turn has come, and whom to tell that it is over."""

from typing import Protocol

from services.common.errors import NaruError
from services.gateway.relay.call import Call


class Applicant(Protocol):
    """Who asks to be admitted: a relay."""

    def proceed(self) -> None:
        """Its turn has come."""

    def abort(self, error: NaruError) -> None:
        """It waits no longer, and is refused."""


class Place(Protocol):
    """A call's place among those that run or wait."""

    @property
    def running(self) -> bool:
        """Whether the call may go on at once; else `proceed` or `abort` will be called."""

    def leave(self) -> None:
        """The call is over, or its client has gone. Called once."""


class Admission(Protocol):
    def placed(self, call: Call) -> Call:
        """The call, or the one for a fallback that has room where its own model has none."""

    def enter(self, call: Call, applicant: Applicant) -> Place:
        """Raises Saturated, DeadlineExceeded."""

    def hold(self, call: Call, applicant: Applicant) -> Place | None:
        """A further place for a call whose model has no endpoint left: in the line, until it has one again.

        None where that model's requests do not wait for one. Raises Saturated.
        """


class Unlimited:
    """The place where nothing is limited."""

    running = True

    def leave(self) -> None:
        pass


UNLIMITED = Unlimited()
