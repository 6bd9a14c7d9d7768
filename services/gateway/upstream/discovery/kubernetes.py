"""In a cluster: versions that name a Service answer where its EndpointSlices say, others where the registry does."""

import asyncio
import random
from collections import Counter
from collections.abc import Collection
from itertools import chain
from pathlib import Path

from services.gateway.registry import Registry, Version
from services.gateway.settings import KubernetesSettings
from services.gateway.upstream.discovery import slices
from services.gateway.upstream.discovery.backoff import Backoff
from services.gateway.upstream.discovery.base import NamespaceReport
from services.gateway.upstream.discovery.watch import Connect, NamespaceWatch
from services.gateway.upstream.rounds import Rounds

FIRST_RETRY = 0.2
"""Seconds."""


class Kubernetes:
    """One watch for each namespace that the registry names, each a task."""

    def __init__(self, settings: KubernetesSettings, draw: random.Random) -> None:
        self.moved = asyncio.Event()
        self._settings, self._draw = settings, draw
        self._namespace = settings.namespace or _own_namespace(settings.token_file)
        self._watches: dict[str, NamespaceWatch] = {}
        self._rounds = Rounds(self._watch)
        self._connect: Connect | None = None

    @property
    def complete(self) -> bool:
        return all(watch.listed.is_set() for watch in self._watches.values())

    def follow(self, registry: Registry) -> None:
        versions = chain.from_iterable(model.versions.values() for model in registry.models.values())
        names = dict.fromkeys(self._home(version) for version in versions if version.service is not None)
        self._watches = {name: self._watches.get(name) or self._new(name) for name in names}
        self._rounds.follow(self._watches.values())

    def addresses(self, version: Version) -> Collection[str] | None:
        if version.service is None:
            return version.endpoints
        watch = self._watches.get(self._home(version))
        if watch is None or not watch.listed.is_set():
            return None
        return slices.addresses(_of(watch, version.service), version.port, self._settings.zone)

    def states(self, version: Version) -> Counter[str]:
        watch = self._watches.get(self._home(version))
        return slices.states(_of(watch, version.service), version.port) if watch and version.service else Counter()

    def reports(self) -> Collection[NamespaceReport]:
        return [watch.report() for watch in self._watches.values()]

    async def settled(self) -> None:
        await asyncio.gather(*(watch.listed.wait() for watch in self._watches.values()))

    async def run(self) -> None:
        await self._rounds.run()

    def _home(self, version: Version) -> str:
        return version.namespace or self._namespace

    def _new(self, namespace: str) -> NamespaceWatch:
        backoff = Backoff(FIRST_RETRY, self._settings.longest_retry, self._draw)
        return NamespaceWatch(namespace, self._settings.watch, backoff, self.moved.set)

    async def _watch(self, watch: NamespaceWatch) -> None:
        if self._connect is None:
            # In a thread: a second's work. Nobody pays for it whose models are no Services.
            self._connect = await asyncio.to_thread(_client, self._settings)
        await watch.run(self._connect)


def _client(settings: KubernetesSettings) -> Connect:
    from services.gateway.upstream.discovery.cluster import Cluster  # noqa: PLC0415 - it takes 28 MiB

    return Cluster(settings).session


def _of(watch: NamespaceWatch, service: str) -> list[slices.Slice]:
    return [each for each in watch.slices.values() if each.service == service]


def _own_namespace(token: Path) -> str:
    """The pod's, which stands beside its token; `default` outside a pod."""
    path = token.with_name("namespace")
    return path.read_text(encoding="utf-8").strip() if path.is_file() else "default"
