"""How fast a model's requests are served, by what was seen of them."""

from collections import deque
from collections.abc import Sequence
from math import sqrt

FIRST_GUESS = 1.0
"""Seconds a request takes, until one has ended."""
SHORTEST = 1e-6
REMEMBERED = 128
"""Ended requests after which the past counts half."""
TURNS = 32
"""Turns over which the classes' shares are averaged."""
FADING = 1 - 1 / 128
"""What a turn counts after the next one, as to a tenant's part of them."""
ARRIVALS = 64
"""Requests over which is measured how many are asked for."""


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

    __slots__ = ("_counted", "_shares", "number")

    def __init__(self, classes: int) -> None:
        self._shares = [0.0] * classes
        self._counted = 0
        self.number = 0
        """Of turns so far."""

    def taken(self, rank: int) -> None:
        self.number += 1
        self._counted = min(self._counted + 1, TURNS)
        self._shares = [
            share + ((of == rank) - share) / self._counted for of, share in enumerate(self._shares)
        ]  # fmt: skip

    def above(self, rank: int) -> float:
        """Share of the turns that more urgent classes get: one standard deviation more than was seen.

        The upper bound of Wilson's score interval ("Probable Inference, the Law of Succession, and Statistical
        Inference", Journal of the American Statistical Association 22, 1927): few turns say little.
        """
        if not rank:
            return 0.0
        seen, more = sum(self._shares[:rank]), 1 / max(1, self._counted)
        return (seen + more / 2 + sqrt(more * seen * (1.0 - seen) + more * more / 4)) / (1.0 + more)


class Part:
    """How much of the last turns went to one flow, the newest counting most."""

    __slots__ = ("_at", "_value")

    def __init__(self) -> None:
        self._value, self._at = 0.0, 0

    def taken(self, turn: int) -> None:
        """The turn of that number was its."""
        self._value, self._at = self.after(turn - 1) * FADING + 1.0 - FADING, turn

    def after(self, turns: int) -> float:
        return float(self._value * FADING ** (turns - self._at))


class Arrivals:
    """How much is asked of a model, by the last requests that found no free place."""

    def __init__(self, classes: int) -> None:
        self._last: deque[tuple[float, int]] = deque()
        self._counts = [0] * classes

    def came(self, rank: int, now: float) -> None:
        self._last.append((now, rank))
        self._counts[rank] += 1
        if len(self._last) > ARRIVALS:
            self._counts[self._last.popleft()[1]] -= 1

    def above(self, rank: int, now: float) -> float:
        """Requests of more urgent classes in a second: one standard deviation less than was seen."""
        count = sum(self._counts[:rank])
        if len(self._last) < ARRIVALS or now <= self._last[0][0]:
            return 0.0
        return max(0.0, count - sqrt(count)) / (now - self._last[0][0])


def level(total: float, had: Sequence[tuple[float, float]]) -> float:
    """Where `total` is to be shared so that all come as near to their weighted share as can be: what each has then, for
    a unit of weight. `had`: weight, and what one has already; who has more than that gets nothing."""
    found = weights = 0.0
    for weight, has in sorted(had, key=lambda one: one[1] / one[0]):
        if weights and total <= has / weight * weights:
            break
        total += has
        weights += weight
        found = total / weights
    return found
