"""What was counted since a moment, from looks at counters that begin, vanish, and start again at nought."""

from collections import Counter as Multiset
from collections.abc import Callable, Mapping

from services.rollout.look import Counter, Gateway, Look

Key = tuple[str, str, str]
"""Metric, version, and the label that tells its series apart."""


class Tally:
    """`increase()` in PromQL extrapolates, and misses what a series that is new began with: a canary's all are."""

    def __init__(self, first: Look) -> None:
        self.counts: Multiset[Key] = Multiset()
        self._last: dict[Counter, float] = dict(first.counters)
        self._known: set[Gateway] = set(first.shares)

    def add(self, look: Look) -> None:
        for counter, value in look.counters.items():
            self.counts[counter.name, counter.version, counter.detail] += round(value - self._base(counter, value))
        self._last.update(look.counters)
        self._known.update(look.shares)

    def _base(self, counter: Counter, value: float) -> float:
        """What of a counter's value does not count."""
        last = self._last.get(counter)
        if last is None:
            # A series that was not there began at nought; of a gateway that was not there, nobody knows when.
            return 0.0 if counter.gateway in self._known else value
        return last if value >= last else 0.0  # a gateway that was started again

    def sums(self, name: str, counted: Callable[[str], bool]) -> Mapping[str, int]:
        """By the label that tells the series of a metric apart, of the versions that are counted."""
        found: Multiset[str] = Multiset()
        for (metric, version, detail), count in self.counts.items():
            if metric == name and counted(version):
                found[detail] += count
        return found
