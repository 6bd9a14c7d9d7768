"""What keeps one model's requests alive when endpoints fail, put together from its registry entry and the settings."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.gateway.metrics import Metrics
from services.gateway.registry import Model, Registry
from services.gateway.routing.budget import RetryBudget
from services.gateway.routing.latency import RunningQuantile
from services.gateway.routing.outliers import Outliers
from services.gateway.settings import ResilienceSettings, UpstreamSettings
from services.gateway.upstream.circuit import CircuitPolicy
from services.gateway.upstream.limits import Limits

HEDGE_QUANTILE = 0.95


@dataclass(frozen=True, slots=True)
class ModelResilience:
    """One model's share of it."""

    limits: Limits
    budget: RetryBudget
    latency: RunningQuantile | None
    """Of its answers, where a slow one is asked for a second time; None where hedging is off."""


@dataclass(frozen=True, slots=True)
class Resilience:
    models: Mapping[str, ModelResilience]
    outliers: Outliers
    metrics: Metrics
    retries: int
    """Further endpoints that one request may be sent to, per model it may use."""

    def limits(self, model: str, *, streamed: bool) -> Limits:
        limits = self.models[model].limits
        return limits if streamed else limits.unstreamed


def resilience(
    registry: Registry, settings: ResilienceSettings, upstream: UpstreamSettings, metrics: Metrics
) -> Resilience:
    policy = CircuitPolicy(
        consecutive=settings.eject_failures, ratio=settings.eject_ratio, first=settings.eject_time,
        longest=settings.eject_longest,
    )  # fmt: skip
    models = {name: _of_model(model, settings, upstream) for name, model in registry.models.items()}
    return Resilience(models, Outliers(policy, settings.eject_share, metrics), metrics, upstream.retries)


def _of_model(model: Model, settings: ResilienceSettings, upstream: UpstreamSettings) -> ModelResilience:
    own = model.timeouts
    limits = Limits(
        connect=own.connect or upstream.connect_timeout, first_byte=own.first_token or upstream.first_byte_timeout,
        idle=own.idle or upstream.idle_timeout, total=own.total or upstream.total_timeout,
        keep_alive=upstream.keep_alive,
    )  # fmt: skip
    return ModelResilience(
        limits=limits, budget=RetryBudget(settings.retry_share, settings.retry_floor),
        latency=RunningQuantile(HEDGE_QUANTILE) if model.hedged else None,
    )  # fmt: skip
