"""A running quantile of a model's recent answer times, bounded in memory and in work."""

from collections import deque

SAMPLES = 256
"""Answers looked back on."""
EVERY = 32
"""Answers between two computations."""


class RunningQuantile:
    """The quantile over the last `SAMPLES` values, made anew every `EVERY` values."""

    __slots__ = ("_fresh", "_quantile", "_values", "value")

    def __init__(self, quantile: float) -> None:
        self._quantile = quantile
        self._values: deque[float] = deque(maxlen=SAMPLES)
        self._fresh = 0
        self.value: float | None = None
        """None until there are enough values to say."""

    def add(self, value: float) -> None:
        self._values.append(value)
        self._fresh += 1
        if self._fresh == EVERY:
            self._fresh = 0
            ordered = sorted(self._values)
            self.value = ordered[int(self._quantile * (len(ordered) - 1))]
