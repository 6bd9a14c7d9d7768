"""The fleet: every configured model, as the registry said at one moment, with its endpoints, as discovery says.

What is configured of a fleet never changes. A reload puts another one in its place (`LiveFleet`), and a request stays
with the pools it got: all that is configured of a model, a call reads from its pool. Its endpoints are those of now:
pods come and go while a call runs, and one that is gone is of no use to it.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from services.common.errors import UnknownVersion
from services.gateway.answers import VersionMetrics
from services.gateway.registry import Model, Registry, Role, Task
from services.gateway.routing.hints import Hints
from services.gateway.routing.pick import Picker
from services.gateway.routing.resilience import ModelResilience
from services.gateway.upstream.endpoint import Endpoint

LANGUAGE = frozenset({Task.CHAT, Task.EMBEDDING})
"""Tasks that run on vLLM."""
LONGEST_NAME = 128
"""Characters of a client's word that an error repeats."""


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ModelPool:
    """One model: what it is, and where it runs."""

    name: str
    task: Task
    role: Role
    entry: Model
    """Its entry in the registry."""
    shadows: Mapping[str, float]
    """Its entry's."""
    picker: Picker
    """Has its endpoints: all else is of one moment, they change as discovery says."""
    resilience: ModelResilience
    instruments: Callable[[str, str], VersionMetrics]
    """Those of an operation on a version."""
    fallbacks: "tuple[ModelPool, ...]" = ()
    """The models that may stand in for this one, in their order."""
    adapter: str | None = None
    """The LoRA adapter that is asked for; it shares all the rest with its model."""

    @property
    def served_name(self) -> str:
        """What clients ask for."""
        return self.adapter or self.name

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Version by version, in the registry's order."""
        return self.picker.endpoints

    def check(self, hints: Hints) -> None:
        """Raises UnknownVersion."""
        wanted = hints.version
        if wanted is not None and wanted not in self.entry.versions:
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

    @property
    def accepting(self) -> bool:
        """Whether it is of use to send requests: they are answered, or wait until they are."""
        return self.entry.activation is not None or self.ready


class Fleet:
    def __init__(self, registry: Registry, models: Mapping[str, ModelPool]) -> None:
        self.registry, self.models = registry, models
        adapters = {
            # What is asked for is the adapter, and no other model has it.
            adapter: replace(pool, adapter=adapter, fallbacks=())
            for pool in models.values()
            for adapter in pool.entry.adapters
        }
        self.served = {**models, **adapters}
        """Everything that can be asked for."""

    def endpoints(self) -> Iterator[Endpoint]:
        for model in self.models.values():
            yield from model.endpoints

    def cached(self) -> set[str]:
        """The models that have a cache."""
        return {name for name, pool in self.models.items() if pool.entry.cache is not None}

    def compared(self) -> Iterator[Endpoint]:
        """The endpoints of language models that are picked from several: what their engines say matters."""
        for model in self.models.values():
            versions = Counter(endpoint.version for endpoint in model.endpoints)
            yield from (e for e in model.endpoints if versions[e.version] > 1 and model.task in LANGUAGE)


class LiveFleet:
    """The fleet that new requests get."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self._followers: list[Callable[[Fleet], None]] = []

    def endpoints(self) -> Iterator[Endpoint]:
        return self.fleet.endpoints()

    def healthy(self) -> dict[tuple[str, ...], float]:
        """How many endpoints are, by model and version."""
        models = self.fleet.registry.models.items()
        counts: dict[tuple[str, ...], float] = {
            (name, version): 0.0 for name, model in models for version in model.versions
        }
        for endpoint in self.endpoints():
            counts[endpoint.model, endpoint.version] += endpoint.healthy
        return counts

    def follow(self, take: Callable[[Fleet], None]) -> None:
        """`take` gets the fleet, now and whenever another one takes its place."""
        self._followers.append(take)
        take(self.fleet)

    def use(self, fleet: Fleet) -> None:
        """From now on requests get this fleet; those that run stay with theirs."""
        before = set(self.fleet.endpoints())
        self.fleet = fleet
        self._taken(before)

    def move(self, moves: Mapping[ModelPool, tuple[Endpoint, ...]]) -> None:
        """From now on these pools have these endpoints, also for the requests that run."""
        before = set(self.fleet.endpoints())
        for pool, endpoints in moves.items():
            pool.picker.use(endpoints)
        self._taken(before)

    def _taken(self, before: set[Endpoint]) -> None:
        for endpoint in before - set(self.fleet.endpoints()):
            endpoint.retire()
        for take in self._followers:
            take(self.fleet)
