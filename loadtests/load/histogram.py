"""Durations by size, in steps of a fifth of a percent: a day of gaps takes no more room than a minute of them."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import numpy as np

STEPS = 500
"""Buckets to a factor of e: each is a fifth of a percent wide."""
NOTHING = -(10**6)
"""The bucket of 0 s: two events that came in one piece."""


class Histogram:
    """Of seconds. Quantiles are true to a tenth of a percent."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: Mapping[int, int] | None = None, total: float = 0.0) -> None:
        self.counts: Counter[int] = Counter(counts)
        self.total = total
        """The sum of all values."""

    def __len__(self) -> int:
        return self.counts.total()

    def add(self, values: Sequence[float]) -> None:
        if not values:
            return
        given = np.array(values)
        some = given[given > 0]
        buckets, counts = np.unique(np.rint(np.log(some) * STEPS).astype(int), return_counts=True)
        self.counts.update(dict(zip(buckets.tolist(), counts.tolist(), strict=True)))
        if len(some) < len(given):
            self.counts[NOTHING] += len(given) - len(some)
        self.total += float(given.sum())

    def values(self) -> Iterator[tuple[float, int]]:
        """Seconds, and how often; in order."""
        for bucket in sorted(self.counts):
            yield _value(bucket), self.counts[bucket]

    def __iadd__(self, other: Self) -> Self:
        self.counts.update(other.counts)
        self.total += other.total
        return self

    def since(self, earlier: "Histogram") -> "Histogram":
        """What was added since; `earlier` is what this one was."""
        return Histogram(self.counts - earlier.counts, self.total - earlier.total)

    def copy(self) -> "Histogram":
        return Histogram(self.counts, self.total)

    def quantile(self, q: float) -> float | None:
        """None where nothing was added."""
        rank = q * len(self)
        reached = 0
        for value, count in self.values():
            reached += count
            if reached >= rank:
                return value
        return None

    @property
    def mean(self) -> float | None:
        return self.total / len(self) if len(self) else None


def _value(bucket: int) -> float:
    return 0.0 if bucket == NOTHING else math.exp(bucket / STEPS)
