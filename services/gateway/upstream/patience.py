"""A wait that counts only the time in which the event loop was there to see its end.

A gateway that is held up itself, by too much work or too little processor time, would otherwise find everybody else
late: its timers go off before it has read what came meanwhile. So a wait goes in parts, one timer after the other, and
a part counts for its own length, however late its timer is; between two of them the loop reads what has come.
"""

import asyncio
from collections.abc import Callable

PARTS = 8
"""Of a wait."""


class Patience:
    """Calls `over` after so many seconds, unless it is ended before."""

    __slots__ = ("_left", "_loop", "_over", "_part", "_timer")

    def __init__(self, seconds: float, over: Callable[[], object]) -> None:
        self._loop, self._part, self._over, self._left = asyncio.get_running_loop(), seconds / PARTS, over, PARTS
        self._timer = self._loop.call_later(self._part, self._go_on)

    def end(self) -> None:
        self._timer.cancel()

    def _go_on(self) -> None:
        self._left -= 1
        if self._left:
            self._timer = self._loop.call_later(self._part, self._go_on)
        else:
            self._over()
