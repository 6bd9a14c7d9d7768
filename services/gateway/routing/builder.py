"""Builds fleets. What stays of the one before keeps all that is known of it: health, circuits, connections, prompts."""

import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache
from weakref import WeakSet

from services.gateway.answers import VersionMetrics
from services.gateway.metrics import Metrics
from services.gateway.registry import Model, Registry, Version
from services.gateway.routing.fleet import LANGUAGE, Fleet, ModelPool
from services.gateway.routing.pick import Picker
from services.gateway.routing.resilience import model_resilience
from services.gateway.settings import GatewaySection
from services.gateway.upstream.discovery.base import Discovery
from services.gateway.upstream.endpoint import Endpoint


class FleetBuilder:
    def __init__(self, settings: GatewaySection, metrics: Metrics, draw: random.Random, discovery: Discovery) -> None:
        self._settings, self._metrics, self._draw, self._discovery = settings, metrics, draw, discovery
        self._pools: WeakSet[ModelPool] = WeakSet()
        """Every pool that a fleet or a call still has."""

    def build(self, registry: Registry, before: Fleet | None = None) -> Fleet:
        """A model whose entry is the same as before, and those of its fallbacks, keeps its very pool."""
        made: dict[str, ModelPool] = {}
        for name in registry.models:
            self._add(name, registry, before.models if before else {}, made)
        fleet = Fleet(registry, {name: made[name] for name in registry.models})
        self._pools.update(fleet.served.values())
        return fleet

    def _add(self, name: str, registry: Registry, old: Mapping[str, ModelPool], made: dict[str, ModelPool]) -> None:
        """With the models that it falls back to, which never lead in a circle."""
        if name in made:
            return
        entry = registry.models[name]
        for other in entry.fallback:
            self._add(other, registry, old, made)
        made[name] = self._pool(name, entry, tuple(made[other] for other in entry.fallback), old.get(name))

    def _pool(self, name: str, entry: Model, fallbacks: tuple[ModelPool, ...], old: ModelPool | None) -> ModelPool:
        if old is not None and old.entry == entry and old.fallbacks == fallbacks:
            return old
        endpoints = self._endpoints(name, entry, old.endpoints if old else ())
        memory = old.picker.memory.kept(endpoints, entry.routing.prefix_blocks) if old else None
        settings = self._settings
        return ModelPool(
            name=name, task=entry.task, role=entry.role, entry=entry,
            shadows=entry.shadows, picker=Picker(endpoints, entry, self._draw, memory),
            resilience=model_resilience(
                entry, settings.resilience, settings.upstream, old.resilience if old else None
            ),
            instruments=self._instruments(name, entry), fallbacks=fallbacks,
        )  # fmt: skip

    def moves(self, fleet: Fleet) -> dict[ModelPool, tuple[Endpoint, ...]]:
        """The pools of a fleet whose endpoints are others now, by what discovery says, and which."""
        found = ((pool, self._endpoints(pool.name, pool.entry, pool.endpoints)) for pool in fleet.models.values())
        return {pool: endpoints for pool, endpoints in found if endpoints != pool.endpoints}

    def earlier(self, fleet: Fleet) -> Iterator[tuple[ModelPool, tuple[Endpoint, ...]]]:
        """The pools that calls of before this fleet still have, and its endpoints for them.

        A call keeps the configuration that it came in with; pods that are gone are of no use to it.
        """
        for pool in set(self._pools) - set(fleet.served.values()):
            now = fleet.models.get(pool.name)
            if now is not None:
                shared = {label for label, version in now.entry.versions.items() if _alike(pool, label, version)}
                kept = (endpoint for endpoint in pool.endpoints if endpoint.version not in shared)
                yield pool, (*kept, *(endpoint for endpoint in now.endpoints if endpoint.version in shared))

    def _endpoints(self, name: str, entry: Model, old: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
        """Version by version, in the registry's order; one of the same version, address and health check is the same.

        A version of which nothing is known yet has those that it had.
        """
        # vLLM answers `/health` only while its engine lives; every other task runs on BentoML, which has `/readyz`.
        path = "/health" if entry.task in LANGUAGE else "/readyz"
        known = {(endpoint.version, endpoint.url): endpoint for endpoint in old if endpoint.health_path == path}
        return tuple(
            known.get((label, url)) or Endpoint(name, label, url, path)
            for label, version in entry.versions.items()
            for url in dict.fromkeys(self._urls(label, version, known))
        )

    def _urls(self, label: str, version: Version, known: Collection[tuple[str, str]]) -> Collection[str]:
        urls = self._discovery.addresses(version)
        return [url for of, url in known if of == label] if urls is None else urls

    def _instruments(self, name: str, entry: Model) -> Callable[[str, str], VersionMetrics]:
        metrics, slo = self._metrics, entry.slo

        @cache
        def instruments(operation: str, version: str) -> VersionMetrics:
            return VersionMetrics(metrics, operation, name, version, slo)

        return instruments


def _alike(pool: ModelPool, label: str, version: Version) -> bool:
    """Whether a pool has that version too, of the same Service."""
    known = pool.entry.versions.get(label)
    return known is not None and version.service is not None and known.service == version.service
