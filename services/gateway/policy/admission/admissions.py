"""Admission to every model that limits it."""

from collections.abc import Mapping

from services.gateway.metrics import Metrics
from services.gateway.policy.admission.clock import Clock
from services.gateway.policy.admission.model import ModelAdmission
from services.gateway.relay.admission import UNLIMITED, Applicant, Place
from services.gateway.relay.call import Call
from services.gateway.routing.fleet import Fleet


class Admissions:
    def __init__(self, fleet: Fleet, metrics: Metrics, clock: Clock) -> None:
        self._models: Mapping[str, ModelAdmission] = {
            name: ModelAdmission(fleet.models[name], model.admission, clock, metrics)
            for name, model in fleet.registry.models.items()
            if model.admission is not None
        }

    def enter(self, call: Call, applicant: Applicant) -> Place:
        """Raises Saturated, DeadlineExceeded."""
        model = self._models.get(call.pool.name)
        return UNLIMITED if model is None else model.enter(call, applicant)
