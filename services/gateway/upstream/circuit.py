"""The circuit of one endpoint: closed, open for a growing time, then half open for one request that decides.

A state machine without a timer: what time it is, it asks the clock it was given, and only while it is not closed or
something has failed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CircuitPolicy:
    """When an endpoint is ejected, and for how long."""

    consecutive: int = 5
    """Failures in a row."""
    ratio: float = 0.5
    """Or this share of the answers in a window."""
    minimum: int = 20
    """Answers in a window below which its share of failures says nothing."""
    window: float = 10.0
    """Seconds."""
    first: float = 2.0
    """Seconds of the first ejection; each further one lasts twice as long."""
    longest: float = 60.0
    """Seconds no ejection outlasts; an endpoint that did well for as long starts from `first` again."""


class Circuit:
    """Only counts while it is closed; who counts the endpoint's siblings (`routing.outliers`) opens it."""

    __slots__ = (
        "_clock", "_closed_at", "_probing", "_until", "_window",
        "closed", "ejections", "failures", "row", "successes",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.closed = True
        self.row = 0
        """Failures since the last success."""
        self.successes = self.failures = 0
        """Answers since the window began."""
        self.ejections = 0
        """Ejections in close succession: the next one lasts `first * 2 ** ejections`."""
        self._window = self._closed_at = float("-inf")
        self._until = 0.0
        self._probing = False

    def admits(self) -> bool:
        """Whether a request may go to the endpoint: any while closed, one at a time once the ejection is over."""
        return self.closed or (not self._probing and self._clock() >= self._until)

    def begin(self) -> bool:
        """A request goes out. True where it is the probe, whose end decides."""
        if self.closed:
            return False
        self._probing = True
        return True

    def succeeded(self, *, probe: bool) -> None:
        self.row = 0
        self.successes += 1
        if probe and not self.closed:
            self.close()

    def failed(self, policy: CircuitPolicy, *, probe: bool) -> bool:
        """Count a failure; whether it is time to open the circuit."""
        if not self.closed:
            return probe
        now = self._clock()
        if now - self._window > policy.window:
            self._window, self.successes, self.failures = now, 0, 0
        self.row += 1
        self.failures += 1
        answers = self.successes + self.failures
        return self.row >= policy.consecutive or (
            answers >= policy.minimum and self.failures >= policy.ratio * answers
        )  # fmt: skip

    def abandoned(self, *, probe: bool) -> None:
        """A request was given up without a verdict on the endpoint: the next one may probe."""
        if probe:
            self._probing = False

    def open(self, policy: CircuitPolicy) -> float:
        """Eject the endpoint; for how many seconds."""
        now = self._clock()
        if self.closed and now - self._closed_at > policy.longest:
            self.ejections = 0
        seconds = min(policy.longest, policy.first * 2.0**self.ejections)
        self.closed, self._probing, self._until = False, False, now + seconds
        self.ejections += 1
        return seconds

    def close(self) -> None:
        """The endpoint is well: a probe was answered, or a health check found it back after it had been away."""
        if not self.closed:
            self._closed_at = self._clock()
        self.closed, self._probing, self._window = True, False, float("-inf")
        self.row = self.successes = self.failures = 0
