"""Endpoints in any state, without a socket."""

from itertools import count
from typing import Any

from services.gateway.registry import Routing
from services.gateway.routing.dispatch import seeded
from services.gateway.routing.pick import Picker
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.vitals import Vitals

_ports = count(1)


def endpoint(
    version: str = "v1", *, weight: int = 100, in_flight: int = 0, healthy: bool = True, vitals: Vitals | None = None
) -> Endpoint:
    made = Endpoint("m", version, f"http://127.0.0.1:{next(_ports)}", weight, "/health")
    made.healthy, made.in_flight, made.vitals = healthy, in_flight, vitals
    return made


def picker(*endpoints: Endpoint, shadows: tuple[str, ...] = (), **routing: Any) -> Picker:
    return Picker(endpoints, shadows, Routing.model_validate(routing), seeded(1))
