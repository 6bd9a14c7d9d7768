"""Time series of models and versions that the registry names no more: they stay for a while, and then they go.

Not at once: what was counted since the last scrape must be seen, and calls that run still count. Not for ever either:
versions come and go with every release, and each leaves dozens of series.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from services.gateway.instruments import Labels

KEPT = 900.0
"""Seconds: longer than the longest call, and than many scrapes."""
LOOK = 10.0
"""Seconds between two looks."""
MODELS, VERSION = ("model", "gen_ai_request_model", "fallback"), "version"
"""The labels that hold a model's name, and a version's."""


class Instrument(Protocol):
    def forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        """Drop the series whose labels are gone."""


class Retiring:
    def __init__(self, instruments: Iterable[Instrument], clock: Callable[[], float] = time.monotonic) -> None:
        self._instruments, self._clock = list(instruments), clock
        self._there: set[Labels] = set()
        """`(model,)` and `(model, version)`."""
        self._gone: dict[Labels, float] = {}
        """Since when."""

    def use(self, versions: Mapping[str, Iterable[str]]) -> None:
        """From now on there are these models with these versions."""
        there: set[Labels] = {(model,) for model in versions}
        there.update((model, version) for model, each in versions.items() for version in each)
        for name in self._there - there:
            self._gone[name] = self._clock()
        for name in there:
            self._gone.pop(name, None)
        self._there = there

    def sweep(self) -> None:
        """Drop the series of what has been gone for long enough."""
        due = {name for name, since in self._gone.items() if self._clock() - since >= KEPT}
        if not due:
            return

        def gone(labels: Mapping[str, str]) -> bool:
            models = [labels[name] for name in MODELS if name in labels]
            return any((model,) in due or (model, labels.get(VERSION, "")) in due for model in models)

        for instrument in self._instruments:
            instrument.forget(gone)
        for name in due:
            del self._gone[name]

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(LOOK)
            self.sweep()
