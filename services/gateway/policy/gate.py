"""MAY it run? The rules in their order: what costs least to refuse comes first, and the body is read in between."""

from services.common.errors import PermissionDenied, UnknownModel
from services.gateway.policy.authenticate import Authenticator
from services.gateway.policy.drain import Drain
from services.gateway.policy.keyring import Principal
from services.gateway.policy.quota import Quotas
from services.gateway.registry import Task
from services.gateway.routing.fleet import LiveFleet, ModelPool

LONGEST_NAME = 128
_LISTED = "GET /v1/models lists what this key may use"


class Gate:
    def __init__(self, drain: Drain, authenticator: Authenticator, live: LiveFleet, quotas: Quotas) -> None:
        self.quotas = quotas
        self._drain, self._authenticator, self._live = drain, authenticator, live

    @property
    def draining(self) -> bool:
        return self._drain.draining

    def enter(self, key: str | None) -> Principal:
        """Before the body is read. Raises Draining, Unauthenticated."""
        if self._drain.draining:
            self._drain.check()
        return self._authenticator.authenticate(key)

    def model(self, principal: Principal, name: str | None, task: Task) -> ModelPool:
        """The model a request names, else the task's first one. Raises Draining, UnknownModel, PermissionDenied."""
        fleet = self._live.fleet
        pool = fleet.served.get(name) if name is not None else None
        if pool is not None and pool.task is task and principal.models is None and not self._drain.draining:
            return pool  # most requests; every refusal is worded below
        wanted = name if name is not None else fleet.registry.default(task)
        if wanted is None:
            raise UnknownModel(f"no {task} model is served; {_LISTED}", param="model")
        pool = self.named(principal, wanted)
        if pool.task is not task:
            raise UnknownModel(f"model {pool.name!r} does {pool.task}, not {task}", param="model")
        return pool

    def named(self, principal: Principal, name: str) -> ModelPool:
        """A model of whatever task. Raises Draining, UnknownModel, PermissionDenied."""
        self._drain.check()  # draining may have begun while the body came in
        pool = self.served(name)
        if not principal.may_use(pool.served_name):
            raise PermissionDenied(f"this API key may not use model {pool.served_name!r}", param="model")
        return pool

    def served(self, name: str) -> ModelPool:
        """A model, whoever asks. Raises UnknownModel."""
        pool = self._live.fleet.served.get(name)
        if pool is None:
            raise UnknownModel(f"model {name[:LONGEST_NAME]!r} does not exist; {_LISTED}", param="model")
        return pool

    def fallbacks(self, principal: Principal, pool: ModelPool) -> tuple[ModelPool, ...]:
        """The models that may stand in for this one, as far as the key may use them."""
        return tuple(other for other in pool.fallbacks if principal.may_use(other.name))

    def visible(self, principal: Principal) -> list[ModelPool]:
        """The models a key may use, in the registry's order, then the adapters."""
        return [pool for name, pool in self._live.fleet.served.items() if principal.may_use(name)]
