"""Where answers are kept. A store knows keys and bytes; what they mean is `answer.py`'s and `key.py`'s."""

from collections.abc import Callable, Collection
from typing import Protocol

from services.gateway.metrics import Metrics
from services.gateway.registry import Cache

HIT, MISS = "hit", "miss"
BYPASS = "bypass"
"""The cache was not asked: the request is not one to be kept, or its client does not want it."""
UNAVAILABLE = "unavailable"
"""The store did not answer in time. Clients read `bypass`."""

Found = Callable[[str, bytes | None], None]
"""Takes HIT and the value, or MISS or UNAVAILABLE and None."""


class Store(Protocol):
    """Values of a model, up to its bound in bytes: what was not used for the longest time makes room."""

    def get(self, model: str, key: bytes, found: Found) -> None:
        """Calls `found`, at once or within a bounded time."""

    def put(self, model: str, bounds: Cache, key: bytes, value: bytes) -> None:
        """Keep a value, if that can be done: nobody waits for it."""

    def keep_only(self, models: Collection[str]) -> None:
        """From now on only these models have a cache."""

    async def close(self) -> None: ...


class Level:
    """How full a model's cache is, as metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._bytes, self._entries = metrics.cache_bytes, metrics.cache_entries

    def is_now(self, model: str, size: int, entries: int) -> None:
        self._bytes.labels(model).value = size
        self._entries.labels(model).value = entries
