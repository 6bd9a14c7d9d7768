"""Time, as admission needs it: a test brings its own."""

import asyncio
from collections.abc import Callable
from time import perf_counter
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    @property
    def now(self) -> Callable[[], float]:
        """Seconds, of the clock that `Call.received` and `Call.due` are of."""

    def soon(self, what: Callable[[], None]) -> None:
        """Call it once what runs at present is done."""

    def later(self, seconds: float, what: Callable[[], None]) -> Timer: ...


class LoopClock:
    """The running event loop's."""

    now = staticmethod(perf_counter)

    def soon(self, what: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(what)

    def later(self, seconds: float, what: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(seconds, what)
