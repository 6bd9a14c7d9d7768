"""SSE comments to clients that wait for a first event, so that no load balancer on the way takes them for dead."""

import asyncio
from time import perf_counter
from typing import Protocol

COMMENT = b": keep-alive\n\n"
"""https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes"""


class Waiting(Protocol):
    def comment(self) -> None: ...


class KeepAlive:
    """One timer for all who wait, set for the one who has waited longest. `interval` in seconds, 0 is off."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._since: dict[Waiting, float] = {}
        """In order of time: whoever enters or got a comment goes to the end."""
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, who: Waiting) -> None:
        if not self._interval:
            return
        self._since[who] = perf_counter()
        if self._timer is None:
            self._arm(self._interval)

    def leave(self, who: Waiting) -> None:
        self._since.pop(who, None)

    def _arm(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = perf_counter()
        while self._since:
            who, since = next(iter(self._since.items()))
            left = since + self._interval - now
            if left > 0:
                self._arm(left)
                return
            del self._since[who]
            self._since[who] = now
            who.comment()
