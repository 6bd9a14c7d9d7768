"""Configuration files that are read again as they change, or when the process is told to (SIGHUP)."""

import asyncio
import contextlib
import logging
import time
from pathlib import Path
from typing import Protocol

from services.common.logs import log
from services.gateway.filestamp import Stamp, stamp
from services.gateway.metrics import OK, Metrics
from services.gateway.policy.keyfile import KeyFileError
from services.gateway.registry import RegistryError

logger = logging.getLogger("naru.config")

REFUSED = "refused"


class Source(Protocol):
    """What a file is read into."""

    @property
    def path(self) -> Path | None: ...
    @property
    def stamp(self) -> Stamp:
        """Of the file when it was read first."""

    async def reread(self) -> dict[str, object]:
        """Take the file over; what the log says of it. Raises RegistryError, KeyFileError: then nothing changed."""


class WatchedFile:
    """One file. What can't be used is refused with the reason, and what was taken over last stays."""

    def __init__(self, name: str, source: Source, poll: float, metrics: Metrics) -> None:
        """`poll`: seconds between two looks at the file."""
        self._name, self._source, self._poll, self._metrics = name, source, poll, metrics
        self._taken = self._seen = source.stamp
        self._asked = asyncio.Event()
        if source.path is not None:
            self._good()

    def ask(self) -> None:
        """Read it now, changed or not."""
        self._asked.set()

    async def watch(self) -> None:
        """For ever."""
        while self._source.path is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll):
                    await self._asked.wait()
            if self._asked.is_set() or self._changed():
                self._asked.clear()
                await self.reload()

    async def reload(self) -> None:
        self._taken = self._seen = stamp(self._source.path)
        try:
            said = await self._source.reread()
        except (RegistryError, KeyFileError) as error:
            self._metrics.config_reloads.labels(self._name, REFUSED).inc()
            self._metrics.config_good.labels(self._name).value = 0
            log(logger, logging.ERROR, "configuration refused, what was stays", file=self._name, reason=str(error))
            return
        self._metrics.config_reloads.labels(self._name, OK).inc()
        self._good()
        log(logger, logging.INFO, "configuration reloaded", file=self._name, **said)

    def _good(self) -> None:
        self._metrics.config_good.labels(self._name).value = 1
        self._metrics.config_since.labels(self._name).value = time.time()

    def _changed(self) -> bool:
        """Whether it is another file than was read, and the same as at the last look: nobody is writing it still."""
        before, self._seen = self._seen, stamp(self._source.path)
        return self._seen == before != self._taken
