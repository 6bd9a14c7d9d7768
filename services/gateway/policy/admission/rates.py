"""How fast a model's requests are served, by what was seen of them."""

from math import sqrt

FIRST_GUESS = 1.0
"""Seconds a request takes, until one has ended."""
SHORTEST = 1e-6
REMEMBERED = 128
"""Ended requests after which the past counts half."""
TURNS = 32
"""Turns over which the classes' shares are averaged."""


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


class Turns:
    """Which class got how many of the last turns, the newest counting most."""

    __slots__ = ("_counted", "_shares")

    def __init__(self, classes: int) -> None:
        self._shares = [0.0] * classes
        self._counted = 0

    def taken(self, rank: int) -> None:
        self._counted = min(self._counted + 1, TURNS)
        self._shares = [
            share + ((of == rank) - share) / self._counted for of, share in enumerate(self._shares)
        ]  # fmt: skip

    def above(self, rank: int) -> float:
        """Share of the turns that more urgent classes get: one standard deviation more than was seen, 1 at most."""
        seen = min(1.0, sum(self._shares[:rank]))
        return min(1.0, seen + sqrt(seen * (1.0 - seen) / max(1, self._counted)))
