"""Keeps up with the EndpointSlices of one namespace: a list, then a watch from there, again and again.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Protocol

from services.common.logs import log
from services.gateway.upstream.discovery.backoff import Backoff
from services.gateway.upstream.discovery.base import NamespaceReport
from services.gateway.upstream.discovery.faults import ClusterFault
from services.gateway.upstream.discovery.slices import RawSlice, Slice, kept

logger = logging.getLogger("naru.discovery")

BRIEF = 1.0
"""Seconds; only after them a watch is known to go well: one that ends sooner and said nothing, something closes."""
LONGEST_ASKED = 60.0
"""Seconds no `Retry-After` of the server's exceeds."""


class Session(Protocol):
    async def list(self) -> tuple[list[RawSlice], str]: ...
    async def watch(self, version: str, seconds: int) -> AsyncIterator[tuple[str, RawSlice]]: ...


Connect = Callable[[str], AbstractAsyncContextManager[Session]]
"""A session for a namespace."""


class NamespaceWatch:
    """What is known stays while the API server is away: pods that are gone fail their health checks anyway."""

    def __init__(self, namespace: str, seconds: float, backoff: Backoff, changed: Callable[[], None]) -> None:
        """`seconds`: how long one watch lasts."""
        self.namespace = namespace
        self.slices: dict[str, Slice] = {}
        self.listed = asyncio.Event()
        """Set once everything was read for the first time."""
        self._seconds, self._backoff, self._changed = max(1, round(seconds)), backoff, changed
        self._brief = min(BRIEF, self._seconds / 2)
        self._version: str | None = None
        """The resource version up to which all is known; None where everything is to be read."""
        self._connected = False
        self._heard = monotonic()
        self._lists: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._trouble = ""

    def report(self) -> NamespaceReport:
        return NamespaceReport(
            self.namespace, self._connected, monotonic() - self._heard, self._lists, self._faults
        )  # fmt: skip

    async def run(self, connect: Connect) -> None:
        """For ever."""
        while True:
            try:
                async with connect(self.namespace) as session:
                    await self._follow(session)
            except ClusterFault as fault:
                await self._bear(fault)

    async def _follow(self, session: Session) -> None:
        """One watch, from where the last one ended."""
        if self._version is None:
            await self._list(session)
        events = await session.watch(self._version or "", self._seconds)
        began, heard, self._connected = monotonic(), False, True
        well = asyncio.get_running_loop().call_later(self._brief, self._go_well)
        try:
            async for kind, raw in events:
                heard, self._heard = True, monotonic()
                self._take(kind, raw)
        finally:
            well.cancel()
        if not heard and monotonic() - began < self._brief:
            raise ClusterFault("network", "the API server ends every watch at once")
        self._heard = monotonic()

    async def _list(self, session: Session) -> None:
        self._lists["expired" if self.listed.is_set() else "start"] += 1
        found, self._version = await session.list()
        self.slices = {raw.metadata.name: kept(raw) for raw in found}
        self._heard = monotonic()
        self.listed.set()
        self._changed()

    def _take(self, kind: str, raw: RawSlice) -> None:
        name, self._version = raw.metadata.name, raw.metadata.resource_version or self._version
        if kind == "DELETED":
            self.slices.pop(name, None)
        elif kind in ("ADDED", "MODIFIED"):
            new = kept(raw)
            if self.slices.get(name) == new:
                return
            self.slices[name] = new
        else:
            return  # a bookmark, which is the version alone
        self._changed()

    def _go_well(self) -> None:
        self._backoff.reset()
        if self._trouble:
            self._trouble = ""
            log(logger, logging.INFO, "the API server is back", namespace=self.namespace)

    async def _bear(self, fault: ClusterFault) -> None:
        self._connected = False
        self._faults[fault.kind] += 1
        if fault.expired:
            self._version = None
        elif self._trouble != fault.kind:
            self._trouble = fault.kind
            log(
                logger, logging.WARNING, "endpoints can't be watched; what is known of them stays",
                namespace=self.namespace, reason=fault.message, remedy=_REMEDIES.get(fault.kind),
            )  # fmt: skip
        pause = self._backoff.next()
        await asyncio.sleep(max(pause, min(fault.retry_after, LONGEST_ASKED)))


_REMEDIES = {
    "401": "the API server does not know the token: see NARU_GATEWAY__KUBERNETES__TOKEN_FILE",
    "403": "the service account needs get, list and watch on endpointslices (discovery.k8s.io) in this namespace",
}
