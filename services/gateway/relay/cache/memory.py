"""Answers kept in the gateway's own memory."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from services.gateway.registry import Cache
from services.gateway.relay.cache.store import HIT, MISS, Found, Level

OVERHEAD = 480
"""Bytes that an entry takes beside its value: key, time and its place in the order, at the most,
as measured on CPython 3.11."""


@dataclass(slots=True)
class _Shelf:
    """One model's."""

    entries: OrderedDict[bytes, tuple[float, bytes]] = field(default_factory=OrderedDict)
    """When each ends, and its value; the one used last at the end."""
    size: int = 0

    def drop(self, key: bytes) -> None:
        entry = self.entries.pop(key, None)
        if entry is not None:
            self.size -= len(entry[1]) + OVERHEAD


class MemoryStore:
    """`clock` in seconds."""

    def __init__(self, level: Level, clock: Callable[[], float]) -> None:
        self._level, self._clock = level, clock
        self._shelves: dict[str, _Shelf] = {}

    def get(self, model: str, key: bytes, found: Found) -> None:
        shelf = self._shelves.get(model)
        entry = None if shelf is None else shelf.entries.get(key)
        if shelf is None or entry is None:
            found(MISS, None)
        elif entry[0] <= self._clock():
            shelf.drop(key)
            self._tell(model, shelf)
            found(MISS, None)
        else:
            shelf.entries.move_to_end(key)
            found(HIT, entry[1])

    def put(self, model: str, bounds: Cache, key: bytes, value: bytes) -> None:
        shelf = self._shelves.setdefault(model, _Shelf())
        shelf.drop(key)
        shelf.entries[key] = self._clock() + bounds.ttl, value
        shelf.size += len(value) + OVERHEAD
        while shelf.size > bounds.bytes:
            shelf.drop(next(iter(shelf.entries)))
        self._tell(model, shelf)

    def keep_only(self, models: Collection[str]) -> None:
        for model in self._shelves.keys() - models:
            del self._shelves[model]
            self._level.is_now(model, 0, 0)

    async def close(self) -> None:
        self._shelves.clear()

    def _tell(self, model: str, shelf: _Shelf) -> None:
        self._level.is_now(model, shelf.size, len(shelf.entries))
