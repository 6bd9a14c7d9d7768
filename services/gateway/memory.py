"""Memory goes back to the system once a burst is over.

The C library keeps what was freed below something that is still in use, until it is asked for it (`malloc_trim(3)`).
Small Python objects stand in arenas of 1 MiB, which go back as they become empty: nothing helps there but to leave
little behind.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable

BURST = 64
"""Calls at once from which on what they took is worth giving back."""
CALM = 5
"""Seconds for which less than a quarter of them must have been running."""


def give_back() -> None:
    """Takes some milliseconds. Without glibc it only collects garbage."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Memory:
    def __init__(self, running: Callable[[], int], back: Callable[[], None] = give_back) -> None:
        """`running`: calls at this moment."""
        self._running, self._back = running, back
        self._peak = self._calm = 0

    def look(self) -> None:
        """Called once a second."""
        now = self._running()
        self._peak = max(self._peak, now)
        self._calm = self._calm + 1 if 4 * now < self._peak else 0
        if self._peak >= BURST and self._calm >= CALM:
            self._back()
            self._peak, self._calm = now, 0

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(1)
            self.look()
