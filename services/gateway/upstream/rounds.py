"""Rounds: something done for each of a set again and again, as long as it is there."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Rounds(Generic[T]):
    """One task for each, of a set which may change."""

    def __init__(self, go: Callable[[T], Coroutine[Any, Any, None]]) -> None:
        """`go` never returns."""
        self.followed: tuple[T, ...] = ()
        self._go = go
        self._tasks: dict[T, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None

    def follow(self, these: Iterable[T]) -> None:
        """From now on these. What goes on for one that stays is not interrupted."""
        self.followed = tuple(these)
        if self._group is None:
            return
        for gone in self._tasks.keys() - set(self.followed):
            self._tasks.pop(gone).cancel()
        for each in self.followed:
            if each not in self._tasks:
                self._tasks[each] = self._group.create_task(self._go(each))

    async def run(self) -> None:
        """For ever."""
        async with asyncio.TaskGroup() as self._group:
            self.follow(self.followed)
            await asyncio.get_running_loop().create_future()
