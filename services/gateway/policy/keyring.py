"""The keys that are known at one moment. A keyring never changes: when the key file does, a new one takes its place
at once, and a request that runs keeps the principal it came in with.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from services.gateway.policy.keyfile import Key, Quota, Tenant
from services.gateway.registry import Priority


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Whose use is counted together: one key's or one tenant's. A limit that there is not is infinite."""

    id: str
    """`key:<name>` or `tenant:<name>`."""
    tenant: str
    requests_per_minute: float = inf
    tokens_per_minute: float = inf
    tokens_per_day: float = inf
    concurrent_streams: float = inf

    @property
    def metered(self) -> bool:
        """Whether its tokens are limited."""
        return self.tokens_per_minute != inf or self.tokens_per_day != inf

    @property
    def whose(self) -> str:
        """For a message."""
        kind, _, name = self.id.partition(":")
        return f"API key {name!r}" if kind == "key" else f"tenant {name!r}"


@dataclass(frozen=True, slots=True, eq=False)
class Principal:
    """Who a request is made for."""

    tenant: str
    key: str
    models: frozenset[str] | None
    priority: Priority | None = None
    """The class of its requests; the model's own where None."""
    weight: float = 1.0
    """The tenant's share of a busy model, relative to the others'."""
    scopes: tuple[Scope, ...] = ()
    """What its use is counted against; empty where nothing limits it."""

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models


class Keyring:
    def __init__(self, keys: Sequence[Key], tenants: Mapping[str, Tenant] | None = None) -> None:
        self.keys = tuple(keys)
        self.tenants = dict(tenants or {})
        self._principals = {bytes.fromhex(key.sha256): self._principal(key) for key in keys}

    def find(self, digest: bytes) -> Principal | None:
        """`digest`: SHA-256 of a key."""
        return self._principals.get(digest)

    def _principal(self, key: Key) -> Principal:
        tenant = self.tenants.get(key.tenant, Tenant())
        found = (_scope(f"key:{key.name}", key.tenant, key), _scope(f"tenant:{key.tenant}", key.tenant, tenant))
        scopes = tuple(scope for scope in found if scope is not None)
        return Principal(key.tenant, key.name, key.models, key.priority, tenant.weight, scopes)


def _scope(name: str, tenant: str, quota: Quota) -> Scope | None:
    limits = {limit: getattr(quota, limit) for limit in Quota.model_fields}
    given = {limit: most for limit, most in limits.items() if most is not None}
    return Scope(name, tenant, **given) if given else None
