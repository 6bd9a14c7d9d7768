"""How fast a model's requests are served, by what was seen of them."""

from math import exp

FIRST_GUESS = 1.0
"""Seconds a request takes, until one has ended."""
SHORTEST = 1e-6
REMEMBERED = 128
"""Ended requests after which the past counts half."""
WINDOW = 10.0
"""Seconds over which dispatches are averaged."""


class Service:
    """Counts what runs, and says how long one request takes.

    By Little's law (L = λW; Little, "A Proof for the Queuing Formula", Operations Research 9(3), 1961) that is the
    integral of how many ran over time, divided by how many came and went. The integral has those in it that still run,
    so that long answers count before they end.
    """

    __slots__ = ("_area", "_begun", "_ended", "_since", "running")

    def __init__(self, now: float) -> None:
        self.running = 0
        self._area = self._begun = self._ended = 0.0
        self._since = now

    def begin(self, now: float) -> None:
        self._area += self.running * (now - self._since)
        self._since = now
        self.running += 1
        self._begun += 1.0

    def end(self, now: float) -> None:
        self._area += self.running * (now - self._since)
        self._since = now
        self.running -= 1
        self._ended += 1.0
        if self._ended > REMEMBERED:
            self._area, self._begun, self._ended = self._area / 2, self._begun / 2, self._ended / 2

    @property
    def known(self) -> bool:
        """Whether any request ended yet."""
        return self._ended > 0.0

    def seconds(self, now: float) -> float:
        """Mean time of one request; above 0."""
        area = self._area + self.running * (now - self._since)
        mean = 2 * area / (self._begun + self._ended) if self._begun else 0.0
        return max(mean, SHORTEST) if self.known else max(mean, FIRST_GUESS)


class Drains:
    """Dispatches a second of each class while requests wait, the newest counting most."""

    __slots__ = ("_counts", "_seconds", "_since")

    def __init__(self, classes: int, now: float) -> None:
        self._counts = [0.0] * classes
        self._seconds, self._since = 0.0, now

    def resume(self, now: float) -> None:
        """Requests wait again: the time since the last look tells nothing."""
        self._fade(now)

    def dispatched(self, rank: int, now: float) -> None:
        self._advance(now)
        self._counts[rank] += 1

    def above(self, rank: int, now: float) -> float:
        """Dispatches a second of the classes more urgent than this one."""
        self._advance(now)
        return sum(self._counts[:rank]) / self._seconds if self._seconds > 0.0 else 0.0

    def _advance(self, now: float) -> None:
        self._seconds += WINDOW * (1 - self._fade(now))

    def _fade(self, now: float) -> float:
        kept = exp((self._since - now) / WINDOW)
        self._since = now
        self._seconds *= kept
        self._counts = [count * kept for count in self._counts]
        return kept
