"""What keeps one model's requests alive when endpoints fail, put together from its registry entry and the settings."""

from dataclasses import dataclass

from services.gateway.metrics import Metrics
from services.gateway.registry import Model
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

    def limits_of(self, *, streamed: bool) -> Limits:
        return self.limits if streamed else self.limits.unstreamed


@dataclass(frozen=True, slots=True)
class Resilience:
    """What all models share."""

    outliers: Outliers
    metrics: Metrics
    retries: int
    """Further endpoints that one request may be sent to, per model it may use."""


def resilience(settings: ResilienceSettings, upstream: UpstreamSettings, metrics: Metrics) -> Resilience:
    policy = CircuitPolicy(
        consecutive=settings.eject_failures, ratio=settings.eject_ratio, first=settings.eject_time,
        longest=settings.eject_longest,
    )  # fmt: skip
    return Resilience(Outliers(policy, settings.eject_share, metrics), metrics, upstream.retries)


def model_resilience(
    model: Model, settings: ResilienceSettings, upstream: UpstreamSettings, before: ModelResilience | None = None
) -> ModelResilience:
    """With `before`, the model's own until now, what was counted and seen stays."""
    own = model.timeouts
    limits = Limits(
        connect=own.connect or upstream.connect_timeout, first_byte=own.first_token or upstream.first_byte_timeout,
        idle=own.idle or upstream.idle_timeout, total=own.total or upstream.total_timeout,
        keep_alive=upstream.keep_alive,
    )  # fmt: skip
    budget = before.budget if before else RetryBudget(settings.retry_share, settings.retry_floor)
    latency = (before.latency if before else None) or RunningQuantile(HEDGE_QUANTILE)
    return ModelResilience(limits, budget, latency if model.hedged else None)
