"""Where the versions of models answer: as the registry says (`static.py`), or as a cluster does (`kubernetes.py`)."""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from services.gateway.registry import Registry, Version


@dataclass(frozen=True, slots=True)
class NamespaceReport:
    """One namespace's watch, as metrics have it."""

    namespace: str
    connected: bool
    age: float
    """Seconds since anything was heard of it."""
    lists: Counter[str]
    """Times everything was read, by why."""
    faults: Counter[str]


class Discovery(Protocol):
    @property
    def moved(self) -> asyncio.Event:
        """Set when `addresses` may have changed; whoever looks clears it before."""

    @property
    def complete(self) -> bool:
        """Whether all that is followed has been read at least once."""

    def follow(self, registry: Registry) -> None:
        """From now on this one's versions. Raises RegistryError where they can't be."""

    def addresses(self, version: Version) -> Collection[str] | None:
        """Where new requests of a version may go, `http://host:port` each; None where that is not known (yet)."""

    def states(self, version: Version) -> Counter[str]:
        """How many of a version's pods are in which state; empty where no cluster says so."""

    def reports(self) -> Collection[NamespaceReport]: ...

    async def settled(self) -> None:
        """Returns once `complete`."""

    async def run(self) -> None:
        """For ever."""
