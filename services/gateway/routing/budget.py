"""A retry budget: a bound on how much of a model's traffic may be sent a second time.

Without one, an outage in which every request fails is answered with twice the load (https://sre.google/sre-book/
addressing-cascading-failures/, "retries"). Counts are those of two windows, the one before weighted by how much of
it still lies within the last window's length.
"""

import time
from collections.abc import Callable


class RetryBudget:
    """A request costs one addition; the clock is asked only where a retry is."""

    __slots__ = (
        "_before", "_clock", "_floor", "_retries", "_retries_before", "_share", "_start", "_window", "requests",
    )  # fmt: skip

    def __init__(
        self, share: float, floor: float, window: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`share` of the requests of the last `window` seconds, and `floor` more."""
        self._share, self._floor, self._window, self._clock = share, floor, window, clock
        self.requests = 0
        """Of this window: whoever begins a request counts it here."""
        self._before = self._retries_before = 0.0
        self._retries = 0
        self._start = clock()

    def withdraw(self) -> bool:
        """Whether one more retry may be made; if so it is counted."""
        rest = self._roll()
        allowed = self._floor + self._share * (self.requests + self._before * rest)
        if self._retries + self._retries_before * rest + 1 > allowed:
            return False
        self._retries += 1
        return True

    def _roll(self) -> float:
        """Begin a new window where the last is over; how much of the one before it is still recent, 0 to 1."""
        now = self._clock()
        elapsed = now - self._start
        if elapsed < self._window:
            return 1 - elapsed / self._window
        # Nobody asked for longer than a window: what came in then is taken as spread evenly.
        share = self._window / elapsed
        self._before, self._retries_before = self.requests * share, self._retries * share
        self.requests, self._retries, self._start = 0, 0, now
        return 1.0
