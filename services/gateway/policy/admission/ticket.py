"""A request that had to wait, from then until it is over."""

from collections.abc import Callable
from typing import Protocol

from services.common.errors import NaruError
from services.gateway.policy.admission.clock import Timer
from services.gateway.policy.admission.fairshare import Flow
from services.gateway.policy.admission.returns import Promise
from services.gateway.relay.admission import Applicant
from services.gateway.relay.call import Call

SAMPLE = 4096
"""Bytes of each end of a body that tell requests apart."""


class Keeper(Protocol):
    """Who is told when a ticket's client goes."""

    def withdraw(self, ticket: "Ticket") -> None:
        """It waits."""

    def vacate(self, ticket: "Ticket") -> None:
        """It runs."""


class Ticket:
    """`came`: when the request came, or first came where it was refused then and told to return."""

    __slots__ = (
        "_applicant", "_keeper", "_leave", "began", "came", "charged", "flow", "key", "patience", "promise", "promised",
        "since", "timer",
    )  # fmt: skip

    running = False

    def __init__(self, keeper: Keeper, applicant: Applicant, flow: Flow, key: int, came: float) -> None:
        self._keeper, self._applicant = keeper, applicant
        self.flow, self.key, self.came = flow, key, came
        self.promise: Promise | None = None
        """What it was told, and kept to."""
        self.promised = False
        """It has room of its own for that."""
        self.timer: Timer | None = None
        self.began = self.charged = 0.0
        self.since = came
        """When it began to wait."""
        self.patience = 0.0
        """Seconds that it waits from then on."""
        self._leave: Callable[[Ticket], None] | None = keeper.withdraw

    @property
    def due(self) -> float:
        """When it has waited long enough."""
        return self.since + self.patience

    def dispatch(self, now: float, charged: float) -> None:
        """It has its turn; `go` follows."""
        self.began, self.charged = now, charged
        self._leave = self._keeper.vacate
        self._stop_timer()

    def go(self) -> None:
        if self._leave is not None:
            self._applicant.proceed()

    def refuse(self) -> Callable[[NaruError], None]:
        """It waits no longer. Returns what takes the reason."""
        self._leave = None
        self._stop_timer()
        return self._applicant.abort

    def leave(self) -> None:
        leave, self._leave = self._leave, None
        self._stop_timer()
        if leave is not None:
            leave(self)

    def _stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def identity(call: Call) -> int:
    """The same for a request that is sent again."""
    body = call.body
    return hash((call.path, len(body), body[:SAMPLE], body[-SAMPLE:]))
