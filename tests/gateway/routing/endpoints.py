"""Endpoints in any state, without a socket."""

from itertools import count
from typing import Any

from services.gateway.registry import Model
from services.gateway.routing.dispatch import seeded
from services.gateway.routing.pick import Picker
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals

_ports = count(1)


def endpoint(
    version: str = "v1", *, in_flight: int = 0, healthy: bool = True, vitals: Vitals | None = None
) -> Endpoint:
    made = Endpoint("m", version, f"http://127.0.0.1:{next(_ports)}", "/health")
    made.healthy, made.in_flight, made.vitals = healthy, in_flight, vitals
    return made


def picker(
    *endpoints: Endpoint, shares: dict[str, int] | None = None, shadows: tuple[str, ...] = (), **routing: Any
) -> Picker:
    """`shares`: weights of versions, 100 where one is not among them."""
    weights = {endpoint.version: 100 for endpoint in endpoints} | (shares or {}) | dict.fromkeys(shadows, 0)
    versions = {
        version: {"endpoints": [e.url for e in endpoints if e.version == version], "weight": weight,
                  "mirror": 5 if version in shadows else 0}
        for version, weight in weights.items()
    }  # fmt: skip
    model = Model.model_validate({"task": "chat", "versions": versions, "routing": routing})
    return Picker(endpoints, model, seeded(1))
