"""How long to wait between two tries of what keeps failing."""

import random


class Backoff:
    """Twice as long each time, up to `longest` seconds; of each pause, up to half is left to chance.

    So many gateways that lost the same server do not come back to it all at once.
    """

    def __init__(self, first: float, longest: float, draw: random.Random) -> None:
        self._first, self._longest, self._draw = first, longest, draw
        self._tries = 0

    def next(self) -> float:
        """Seconds to wait now."""
        pause = min(self._longest, self._first * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return pause * (0.5 + self._draw.random() / 2)

    def reset(self) -> None:
        self._tries = 0
