"""Whether new work is still taken: after SIGTERM running calls go on, new ones are refused."""

import asyncio
import contextlib
from typing import Protocol

from services.common.errors import Draining


class Running(Protocol):
    def abort(self, error: Draining) -> None: ...


class Drain:
    """Counts what runs. `begin` turns new work away, `finish` waits and then ends what is left."""

    def __init__(self, retry_after: int) -> None:
        self._retry_after = retry_after
        self._running: set[Running] = set()
        self._idle: asyncio.Event | None = None
        """Set once the last call is over; there is none before somebody waits for it."""
        self.draining = False

    @property
    def running(self) -> int:
        return len(self._running)

    def check(self) -> None:
        """Raises Draining."""
        if self.draining:
            raise self._refusal()

    def enter(self, call: Running) -> None:
        self._running.add(call)

    def leave(self, call: Running) -> None:
        self._running.discard(call)
        if self._idle is not None and not self._running:
            self._idle.set()

    async def finish(self, limit: float) -> int:
        """Wait for the running calls, `limit` seconds at most; abort the rest. Returns how many were aborted."""
        self.draining = True
        self._idle = asyncio.Event()
        if self._running:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), limit)
        left = list(self._running)
        for call in left:
            call.abort(self._refusal())
        return len(left)

    def _refusal(self) -> Draining:
        return Draining("this gateway is shutting down: send the request again", retry_after=self._retry_after)
