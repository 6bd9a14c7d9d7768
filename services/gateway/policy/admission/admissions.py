"""Admission to every model that limits it."""

from collections.abc import Mapping

from msgspec import structs

from services.gateway.metrics import Metrics
from services.gateway.policy.admission.clock import Clock
from services.gateway.policy.admission.model import ModelAdmission
from services.gateway.relay.admission import UNLIMITED, Applicant, Place
from services.gateway.relay.bodies import for_model
from services.gateway.relay.call import Call
from services.gateway.routing.fleet import Fleet


class Admissions:
    def __init__(self, fleet: Fleet, metrics: Metrics, clock: Clock) -> None:
        self._fallbacks = metrics.fallbacks
        self._models: Mapping[str, ModelAdmission] = {
            name: ModelAdmission(fleet.models[name], model.admission, clock, metrics)
            for name, model in fleet.registry.models.items()
            if model.admission is not None
        }
        self._overflowing = frozenset(
            name for name, model in fleet.registry.models.items() if model.admission and model.admission.overflow
        )

    def enter(self, call: Call, applicant: Applicant) -> Place:
        """Raises Saturated, DeadlineExceeded."""
        model = self._models.get(call.pool.name)
        return UNLIMITED if model is None else model.enter(call, applicant)

    def placed(self, call: Call) -> Call:
        name = call.pool.name
        if name not in self._overflowing or call.hints.version is not None or self._takes(call):
            return call
        for number, pool in enumerate(call.fallbacks, 1):
            other = structs.replace(
                call, pool=pool, body=for_model(call.body, pool.name), fallbacks=call.fallbacks[number:]
            )  # fmt: skip
            if self._takes(other):
                self._fallbacks.labels(name, pool.name).inc()
                return other
        return call

    def _takes(self, call: Call) -> bool:
        model = self._models.get(call.pool.name)
        return model is None or model.takes(call)
