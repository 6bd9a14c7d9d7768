"""The figures of a benchmark's rounds."""

import statistics
from collections import defaultdict
from dataclasses import dataclass

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and range of one figure over the rounds."""

    median: float
    low: float
    high: float


class Results:
    """Figures by target and name, one a round."""

    def __init__(self, targets: list[str]) -> None:
        self.targets = targets
        self.failures: dict[str, list[str]] = {}
        self._figures: dict[tuple[str, str], list[float]] = defaultdict(list)

    def add(self, target: str, figures: dict[str, float]) -> None:
        for name, value in figures.items():
            self._figures[target, name].append(value)

    def fail(self, target: str, why: str) -> None:
        self.failures.setdefault(target, []).append(why)

    def spread(self, target: str, name: str) -> Spread:
        return _spread(self._figures[target, name])

    def added(self, target: str, name: str, to: str = DIRECT) -> Spread:
        """What the target adds to another one's figure of the same round; else to the engine's own."""
        pairs = zip(self._figures[target, name], self._figures[to, name], strict=True)
        return _spread([through - direct for through, direct in pairs])

    def ratio(self, target: str, name: str, to: str) -> Spread:
        """The target's figure as a multiple of another one's of the same round."""
        pairs = zip(self._figures[target, name], self._figures[to, name], strict=True)
        return _spread([one / other for one, other in pairs])


def _spread(values: list[float]) -> Spread:
    return Spread(statistics.median(values), min(values), max(values))
