"""The fleet: every configured model with its endpoints, built from the registry."""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from services.common.errors import UnknownVersion
from services.gateway.registry import Model, Registry, Role, Slo, Task
from services.gateway.routing.hints import Hints
from services.gateway.routing.pick import Picker
from services.gateway.upstream.endpoint import Endpoint

HEALTH_PATHS = {Task.CHAT: "/health", Task.EMBEDDING: "/health"}
"""vLLM answers `/health` only while its engine lives; every other task runs on BentoML, which has `/readyz`."""
LONGEST_NAME = 128
"""Characters of a client's word that an error repeats."""


@dataclass(frozen=True, slots=True)
class ModelPool:
    """One model: what it is, and where it runs."""

    name: str
    task: Task
    role: Role
    slo: Slo
    endpoints: tuple[Endpoint, ...]
    """Version by version, in the registry's order."""
    shadows: Mapping[str, float]
    """Versions that get a copy of requests and answer nobody who does not name them: percent of the requests."""
    picker: Picker
    falls_back: bool = False
    """Whether the registry names models that may stand in for this one."""
    adapter: str | None = None
    """The LoRA adapter that is asked for; it shares all the rest with its model."""

    @property
    def served_name(self) -> str:
        """What clients ask for."""
        return self.adapter or self.name

    def check(self, hints: Hints) -> None:
        """Raises UnknownVersion."""
        wanted = hints.version
        if wanted is not None and all(endpoint.version != wanted for endpoint in self.endpoints):
            raise UnknownVersion(
                f"model {self.served_name!r} has no version {wanted[:LONGEST_NAME]!r}; the header x-naru-version or "
                f"the path may name those that GET /v1/models/{self.served_name} lists",
                param="x-naru-version",
            )

    def pick(self, hints: Hints, tried: Collection[Endpoint]) -> Endpoint | None:
        return self.picker.pick(hints, self.adapter, tried)

    @property
    def ready(self) -> bool:
        return any(endpoint.healthy and endpoint.version not in self.shadows for endpoint in self.endpoints)


class Fleet:
    def __init__(self, registry: Registry, draw: random.Random) -> None:
        self.registry = registry
        self.models = {name: _pool(name, model, draw) for name, model in registry.models.items()}
        adapters = {
            adapter: replace(self.models[name], adapter=adapter)
            for name, model in registry.models.items()
            for adapter in model.adapters
        }
        self.served = self.models | adapters
        """Everything that can be asked for."""

    def endpoints(self) -> Iterator[Endpoint]:
        for model in self.models.values():
            yield from model.endpoints

    def compared(self) -> Iterator[Endpoint]:
        """The endpoints of language models that are picked from several: what their engines say matters."""
        for model in self.models.values():
            versions = Counter(endpoint.version for endpoint in model.endpoints)
            yield from (e for e in model.endpoints if versions[e.version] > 1 and model.task in HEALTH_PATHS)


def _pool(name: str, model: Model, draw: random.Random) -> ModelPool:
    endpoints = tuple(
        Endpoint(name, label, url, version.weight, HEALTH_PATHS.get(model.task, "/readyz"))
        for label, version in model.versions.items()
        for url in version.endpoints
    )
    shadows = {label: version.mirror for label, version in model.versions.items() if version.mirror}
    picker = Picker(endpoints, shadows, model.routing, draw)
    return ModelPool(name, model.task, model.role, model.slo, endpoints, shadows, picker, bool(model.fallback))
