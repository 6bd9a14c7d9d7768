"""MAY it run? The rules in their order: what costs least to refuse comes first, and the body is read in between."""

from services.common.errors import PermissionDenied, UnknownModel
from services.gateway.policy.authenticate import Authenticator, Principal
from services.gateway.policy.drain import Drain
from services.gateway.registry import Task
from services.gateway.routing.fleet import Fleet, ModelPool

LONGEST_NAME = 128


class Gate:
    def __init__(self, drain: Drain, authenticator: Authenticator, fleet: Fleet) -> None:
        self._drain, self._authenticator, self._fleet = drain, authenticator, fleet

    def enter(self, key: str | None) -> Principal:
        """Before the body is read. Raises Draining, Unauthenticated."""
        self._drain.check()
        return self._authenticator.authenticate(key)

    def model(self, principal: Principal, name: str | None, task: Task) -> ModelPool:
        """The model a request names, else the task's first one. Raises Draining, UnknownModel, PermissionDenied."""
        self._drain.check()  # draining may have begun while the body came in
        wanted = name if name is not None else self._fleet.registry.default(task)
        pool = self._fleet.models.get(wanted) if wanted is not None else None
        if pool is None:
            shown = f"model {wanted[:LONGEST_NAME]!r} does not exist" if wanted else f"no {task} model is served"
            raise UnknownModel(f"{shown}; GET /v1/models lists what this key may use", param="model")
        if not principal.may_use(pool.name):
            raise PermissionDenied(f"this API key may not use model {pool.name!r}", param="model")
        if pool.task is not task:
            raise UnknownModel(f"model {pool.name!r} does {pool.task}, not {task}", param="model")
        return pool

    def visible(self, principal: Principal) -> list[ModelPool]:
        """The models a key may use, in the registry's order."""
        return [pool for name, pool in self._fleet.models.items() if principal.may_use(name)]
