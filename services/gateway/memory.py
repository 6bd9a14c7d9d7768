"""Memory goes back to the system once a burst is over.

The C library keeps what was freed below something that is still in use, until it is asked for it (`malloc_trim(3)`).
Python's own allocator keeps what stands around a small object: see `balloon.py`.
"""

import asyncio
import ctypes
import gc
from collections.abc import Callable, Iterator

from services.gateway.balloon import Balloon

BURST = 64
"""Calls at once from which on what they took is worth giving back."""
CALM = 10
"""Seconds for which less than a quarter of them must have been running; idle connections are closed meanwhile."""
LOAD = 32
"""Calls at once that need the room which the balloon takes."""


def trim() -> None:
    """Takes some milliseconds. Without glibc it does nothing."""
    ask = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if ask is not None:
        ask(0)


class Memory:
    def __init__(self, running: Callable[[], int], balloon: Balloon) -> None:
        """`running`: calls at this moment."""
        self._running, self._balloon = running, balloon
        self._peak = self._calm = 0
        self._load = LOAD

    def look(self) -> Iterator[None]:
        """Called once a second: what is to be done, in steps between which the loop may go on."""
        now = self._running()
        self._peak = max(self._peak, now)
        self._calm = self._calm + 1 if 4 * now < self._peak else 0
        if self._peak >= BURST and self._calm >= CALM:
            self._peak, self._calm, self._load = now, 0, max(LOAD, 2 * now)
            yield from self._give_back()

    def make_room(self) -> Iterator[None]:
        """Called often while there is a balloon; in such steps, too."""
        if self._running() >= self._load:
            yield from self._balloon.deflate()

    def _give_back(self) -> Iterator[None]:
        yield from self._balloon.deflate()  # arenas go that have become empty
        gc.collect()
        yield
        yield from self._balloon.inflate()
        trim()

    async def run(self) -> None:
        """For ever."""
        while True:
            times = 10 if self._balloon else 1
            for _ in range(times):
                await asyncio.sleep(1 / times)
                for _ in self.make_room():
                    await asyncio.sleep(0)
            for _ in self.look():
                await asyncio.sleep(0)
