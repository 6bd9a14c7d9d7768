"""Admission to every model that limits it, or may have no endpoint for a while."""

from collections.abc import Mapping

from msgspec import structs

from services.gateway.instruments import Labels
from services.gateway.metrics import Metrics
from services.gateway.policy.admission.clock import Clock
from services.gateway.policy.admission.model import ModelAdmission
from services.gateway.relay.admission import UNLIMITED, Applicant, Place
from services.gateway.relay.bodies import for_model
from services.gateway.relay.call import Call
from services.gateway.routing.fleet import Fleet, ModelPool
from services.gateway.upstream.endpoint import Endpoint


class Admissions:
    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics, self._clock = metrics, clock
        self._fallbacks = metrics.fallbacks
        metrics.activating.read = self.activating
        self._models: Mapping[str, ModelAdmission] = {}
        metrics.queue_limit.read = lambda: {(name,): model.room() for name, model in self._models.items()}

    def use(self, fleet: Fleet) -> None:
        """From now on this fleet's limits count; what runs and waits stays, and counts against them."""
        before = self._models
        limited = (pool for pool in fleet.models.values() if pool.entry.admission or pool.entry.activation)
        self._models = {pool.name: self._model(pool) for pool in limited}
        for name in before.keys() - self._models.keys():
            before[name].release()

    def turned(self, endpoint: Endpoint) -> None:
        """An endpoint became healthy, or no longer is."""
        model = self._models.get(endpoint.model)
        if model is not None:
            model.recount()

    def activating(self) -> dict[Labels, float]:
        """Of the models that may have no endpoint, whether they are wanted while they have none."""
        return {(name,): float(model.activating) for name, model in self._models.items() if model.on_demand}

    def _model(self, pool: ModelPool) -> ModelAdmission:
        known = self._models.get(pool.name)
        if known is None:
            return ModelAdmission(pool, self._clock, self._metrics)
        known.use(pool)
        return known

    def enter(self, call: Call, applicant: Applicant) -> Place:
        """Raises Saturated, DeadlineExceeded."""
        model = self._models.get(call.pool.name)
        return UNLIMITED if model is None else model.enter(call, applicant)

    def hold(self, call: Call, applicant: Applicant) -> Place | None:
        model = self._models.get(call.pool.name)
        return None if model is None else model.hold(call, applicant)

    def placed(self, call: Call) -> Call:
        settings = call.pool.entry.admission
        if settings is None or not settings.overflow or call.hints.version is not None or self._takes(call):
            return call
        for number, pool in enumerate(call.fallbacks, 1):
            other = structs.replace(
                call, pool=pool, body=for_model(call.body, pool.name), fallbacks=call.fallbacks[number:]
            )  # fmt: skip
            if self._takes(other):
                self._fallbacks.labels(call.pool.name, pool.name).inc()
                return other
        return call

    def _takes(self, call: Call) -> bool:
        model = self._models.get(call.pool.name)
        return model is None or model.takes(call)
