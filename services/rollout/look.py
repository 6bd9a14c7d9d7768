"""What Prometheus knows of a model at one moment."""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from services.rollout.errors import PrometheusError
from services.rollout.prometheus import Prometheus, Sample

WEIGHT, HEALTHY = "naru_version_weight", "naru_version_healthy_endpoints"
REQUESTS, RETRIES, MIGRATIONS = "naru_requests_total", "naru_retries_total", "naru_migrations_total"
TTFT = "gen_ai_server_time_to_first_token_seconds_bucket"
TPOT = "gen_ai_server_time_per_output_token_seconds_bucket"
DETAIL = {REQUESTS: "outcome", RETRIES: "reason", MIGRATIONS: "outcome", TTFT: "le", TPOT: "le"}
"""Counters, and the label by which each is told apart."""
_OWN = frozenset({
    "__name__", "model", "version", "operation", "outcome", "reason", "stream", "le", "gen_ai_operation_name",
    "gen_ai_request_model",
})  # fmt: skip

Gateway = frozenset[tuple[str, str]]
"""What Prometheus calls a gateway: the labels that are not the metric's own."""


@dataclass(frozen=True, slots=True)
class Counter:
    """One series."""

    gateway: Gateway
    name: str
    version: str
    detail: str
    rest: Gateway
    """Its further labels."""


@dataclass(frozen=True, slots=True)
class Look:
    age: float
    """Seconds since a gateway was scraped, of the one scraped longest ago."""
    shares: Mapping[Gateway, dict[str, float]]
    """Of the traffic, by version."""
    healthy: Mapping[Gateway, dict[str, float]]
    """Endpoints, by version."""
    counters: Mapping[Counter, float]

    def not_at(self, weights: dict[str, int]) -> list[Gateway]:
        """The gateways that have other weights."""
        total = sum(weights.values())
        wanted = {version: weight / total for version, weight in weights.items()}
        return [gateway for gateway, found in self.shares.items() if not _alike(found, wanted)]

    def well(self, version: str) -> int:
        """Gateways that have a healthy endpoint of it."""
        return sum(found.get(version, 0) > 0 for found in self.healthy.values())


class Watch:
    def __init__(self, prometheus: Prometheus, model: str) -> None:
        self._prometheus, self._model = prometheus, model
        select = prometheus.selector
        self._counted = select(REQUESTS, RETRIES, MIGRATIONS, WEIGHT, HEALTHY, model=model)
        self._timed = select(TTFT, TPOT, gen_ai_request_model=model)
        self._age = f"max(time() - timestamp({select(WEIGHT, model=model)}))"

    def look(self) -> Look:
        """Raises PrometheusError, also where no gateway is known."""
        samples = self._prometheus.query(self._counted) + self._prometheus.query(self._timed)
        age = self._prometheus.query(self._age)
        shares, healthy = _by_version(samples, WEIGHT), _by_version(samples, HEALTHY)
        if not shares or not age:
            raise PrometheusError(
                f"Prometheus at {self._prometheus.url} knows no gateway that serves {self._model!r}: it must "
                f"scrape the gateways' admin ports ({WEIGHT})"
            )
        counters = {_counter(each): each.value for each in samples if each.labels["__name__"] in DETAIL}
        return Look(age[0].value, shares, healthy, counters)

    def reachable(self) -> None:
        """Raises PrometheusError where Prometheus does not answer at all."""
        self._prometheus.query("vector(1)")

    def rate(self) -> float:
        """The model's requests per second of the last five minutes. Raises PrometheusError."""
        found = self._prometheus.query(f"sum(rate({self._prometheus.selector(REQUESTS, model=self._model)}[5m]))")
        return found[0].value if found and not math.isnan(found[0].value) else 0.0


def _gateway(sample: Sample) -> Gateway:
    return frozenset((name, value) for name, value in sample.labels.items() if name not in _OWN)


def _alike(some: dict[str, float], others: dict[str, float]) -> bool:
    return some.keys() == others.keys() and all(math.isclose(some[each], others[each], abs_tol=1e-9) for each in some)


def _by_version(samples: list[Sample], name: str) -> dict[Gateway, dict[str, float]]:
    found: dict[Gateway, dict[str, float]] = defaultdict(dict)
    for each in samples:
        if each.labels["__name__"] == name:
            found[_gateway(each)][each.labels["version"]] = each.value
    return found


def _counter(sample: Sample) -> Counter:
    labels = sample.labels
    name = labels["__name__"]
    own = {"__name__", "version", DETAIL[name]}
    rest = frozenset((key, value) for key, value in labels.items() if key in _OWN and key not in own)
    return Counter(_gateway(sample), name, labels.get("version", ""), labels[DETAIL[name]], rest)
