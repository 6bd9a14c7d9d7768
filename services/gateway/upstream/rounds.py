"""Rounds: something done for each endpoint again and again, as long as the endpoint is there."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from services.gateway.upstream.endpoint import Endpoint


class Rounds:
    """One task for each of a set of endpoints, which may change."""

    def __init__(self, go: Callable[[Endpoint], Coroutine[Any, Any, None]]) -> None:
        """`go` never returns."""
        self.endpoints: tuple[Endpoint, ...] = ()
        self._go = go
        self._tasks: dict[Endpoint, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def follow(self, endpoints: Iterable[Endpoint]) -> None:
        """From now on these. What goes on for one that stays is not interrupted."""
        self.endpoints = tuple(endpoints)
        if self._group is None:
            return
        for endpoint in self._tasks.keys() - set(self.endpoints):
            self._tasks.pop(endpoint).cancel()
        for endpoint in self.endpoints:
            if endpoint not in self._tasks:
                self._tasks[endpoint] = self._group.create_task(self._go(endpoint))

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as self._group:
            self.follow(self.endpoints)
            await asyncio.get_running_loop().create_future()
