"""The fleet: every configured model with its endpoints, built from the registry."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from services.common.errors import UnknownVersion
from services.gateway.registry import Registry, Role, Slo, Task
from services.gateway.routing.hints import Hints
from services.gateway.routing.pick import pick
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
    draw: random.Random

    def check(self, hints: Hints) -> None:
        """Raises UnknownVersion."""
        wanted = hints.version
        if wanted is not None and all(endpoint.version != wanted for endpoint in self.endpoints):
            raise UnknownVersion(
                f"model {self.name!r} has no version {wanted[:LONGEST_NAME]!r}; GET /v1/models/{self.name} lists those "
                "that the header x-naru-version or the path may name",
                param="x-naru-version",
            )

    def pick(self, hints: Hints, tried: frozenset[Endpoint]) -> Endpoint | None:
        return pick(self.endpoints, hints, tried, self.draw)

    @property
    def ready(self) -> bool:
        return any(endpoint.healthy for endpoint in self.endpoints)


class Fleet:
    def __init__(self, registry: Registry, draw: random.Random) -> None:
        self.registry = registry
        self.models = {
            name: ModelPool(
                name, model.task, model.role, model.slo,
                tuple(
                    Endpoint(name, label, url, version.weight, HEALTH_PATHS.get(model.task, "/readyz"))
                    for label, version in model.versions.items()
                    for url in version.endpoints
                ),
                draw,
            )
            for name, model in registry.models.items()
        }  # fmt: skip

    def endpoints(self) -> Iterator[Endpoint]:
        for model in self.models.values():
            yield from model.endpoints
