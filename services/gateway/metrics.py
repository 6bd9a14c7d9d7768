"""Every metric of the gateway. Names, labels and buckets are an interface: dashboards and alerts read them.

Names follow OpenTelemetry's GenAI semantic conventions in Prometheus spelling. A model's name becomes a label only
once it has been resolved to a configured model, so a client can't create a time series: label values come from the
registry, the key file and the bounded words of `services.common.errors`.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry

from services.gateway.instruments import Counts, Histograms, Labels, Readings
from services.gateway.registry import Registry, Slo
from services.gateway.upstream.endpoint import Endpoint

OK = "ok"
TTFT_BUCKETS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25, 0.3, 0.45, 0.5,
    0.75, 1, 1.5, 2, 2.5, 3, 4.5, 5, 6, 7.5, 10, 20, 40, 80,
)  # fmt: skip
TPOT_BUCKETS = (
    0.001, 0.0025, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.025, 0.03, 0.04, 0.05, 0.06, 0.075, 0.08,
    0.1, 0.15, 0.175, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5,
)  # fmt: skip
DURATION_BUCKETS = (
    0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TOKEN_BUCKETS = tuple(4**i for i in range(14))
OVERHEAD_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1)
LAG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
LAG_INTERVAL = 0.25
"""Seconds between two looks at how late the event loop is."""
QUEUE_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

BLAMELESS = frozenset({"client_cancelled", "deadline_exceeded", "rejected_quota"})
"""Outcomes that say nothing of the service's availability: the client chose them."""


class Metrics:
    """The instruments themselves, on the registry they are given."""

    def __init__(self, registry: CollectorRegistry) -> None:  # noqa: PLR0915 - one for each metric
        genai = ("gen_ai_operation_name", "gen_ai_request_model", "version")

        def histogram(name: str, what: str, labels: Iterable[str], buckets: Iterable[float]) -> Histograms:
            return Histograms(name, what, labels, buckets, registry)

        def counter(name: str, what: str, *labels: str) -> Counts:
            return Counts(name, what, labels, registry)

        def setting(name: str, what: str) -> Counts:
            return Counts(name, what, ("file",), registry, gauge=True)

        def reading(name: str, what: str, *labels: str) -> Readings:
            return Readings(name, what, labels, registry)

        self.ttft = histogram(
            "gen_ai_server_time_to_first_token_seconds",
            "From the request's last byte to the first content token leaving the gateway.",
            (*genai, "stream"), TTFT_BUCKETS,
        )  # fmt: skip
        self.tpot = histogram(
            "gen_ai_server_time_per_output_token_seconds",
            "(last token - first token) / (output tokens - 1) of complete streamed answers.",
            genai, TPOT_BUCKETS,
        )  # fmt: skip
        self.duration = histogram(
            "gen_ai_server_request_duration_seconds",
            "From the request's last byte to the answer's end; error_type is empty for a success.",
            (*genai, "error_type"), DURATION_BUCKETS,
        )  # fmt: skip
        self.token_usage = histogram(
            "gen_ai_client_token_usage", "Tokens of one request, as the engine counted them.",
            (*genai, "gen_ai_token_type"), TOKEN_BUCKETS,
        )  # fmt: skip
        self.first_byte = histogram(
            "naru_time_to_first_byte_seconds", "From the request's last byte to the answer's first.",
            genai, TTFT_BUCKETS,
        )  # fmt: skip
        self.itl = histogram(
            "naru_inter_token_latency_seconds", "Each gap between two content chunks of a stream.",
            genai, TPOT_BUCKETS,
        )  # fmt: skip
        self.overhead = histogram(
            "naru_gateway_overhead_seconds", "What the gateway itself added to the first token.",
            genai, OVERHEAD_BUCKETS,
        )  # fmt: skip
        self.queue_wait = histogram(
            "naru_queue_wait_seconds", "From the request's last byte to its first attempt.", genai, QUEUE_BUCKETS
        )
        self.requests = counter(
            "naru_requests_total", "Requests by how they ended.", "operation", "model", "version", "outcome"
        )
        self.tokens = counter("naru_tokens_total", "Tokens by who used them.", "model", "version", "tenant", "type")
        self.estimated_tokens = counter(
            "naru_estimated_tokens_total",
            "Tokens charged to who used them without the engine's word: its answer broke off before it said.",
            "model", "version", "tenant",
        )  # fmt: skip
        self.cost = counter(
            "naru_cost_total", "What was used, at the registry's prices.", "model", "version", "tenant", "currency"
        )
        self.limits_backend_up = Counts(
            "naru_limits_backend_up", "1 while the Redis that shares the limits answers; no sample without one.",
            (), registry, gauge=True,
        )  # fmt: skip
        self.quota_refusals = counter(
            "naru_quota_refusals_total", "Requests refused for a limit of the key's or its tenant's.",
            "tenant", "scope", "limit",
        )  # fmt: skip
        self.slo = counter(
            "naru_slo_requests_total", "Requests by whether they met an objective.", "model", "objective", "met"
        )
        self.slo_target = reading(
            "naru_slo_target_ratio", "Share of a model's requests that must meet an objective, by the registry.",
            "model", "objective",
        )  # fmt: skip
        self.slo_threshold = reading(
            "naru_slo_threshold_seconds", "What the registry promises of a model's times.", "model", "objective"
        )
        self.good = counter(
            "naru_good_requests_total", "Requests that met every objective of their model at once.",
            "model", "version",
        )  # fmt: skip
        self.model_info = reading(
            "naru_model_info", "1 for each configured model; the labels say what it is to its product.",
            "model", "task", "criticality", "trigger",
        )  # fmt: skip
        self.version_weight = reading(
            "naru_version_weight", "A version's share of its model's traffic, by the registry; 0 takes none.",
            "model", "version",
        )  # fmt: skip
        self.inflight = Counts("naru_inflight_requests", "Requests being answered.", ("model",), registry, gauge=True)
        self.queue_depth = Counts(
            "naru_queue_depth", "Requests waiting for their turn at a model.", ("model", "priority"), registry,
            gauge=True,
        )  # fmt: skip
        self.queue_limit = reading(
            "naru_queue_limit", "Requests that may wait for their turn at a model; a further one is refused.", "model"
        )
        self.shed = counter(
            "naru_shed_total", "Requests that got no turn, by why: full, displaced, patience, deadline, activation.",
            "model", "priority", "reason",
        )  # fmt: skip
        self.mirrored = counter(
            "naru_mirrored_requests_total", "Copies for a shadow version, by how they ended; `skipped`: not sent.",
            "model", "version", "outcome",
        )  # fmt: skip
        self.mirrored_duration = histogram(
            "naru_mirrored_request_duration_seconds", "From sending a copy to the end of its answer.",
            ("model", "version"), DURATION_BUCKETS,
        )  # fmt: skip
        at = ("model", "endpoint")
        self.endpoint_healthy = reading("naru_endpoint_healthy", "1 where the last health check passed.", *at)
        self.endpoint_inflight = reading("naru_endpoint_inflight", "Requests at an endpoint.", *at)
        self.circuit_open = reading(
            "naru_endpoint_circuit_open", "1 while an endpoint is ejected for how it answers.", *at
        )
        self.activating = reading(
            "naru_model_activating",
            "1 while a model without an endpoint is wanted: an autoscaler must not take its pods away meanwhile.",
            "model",
        )  # fmt: skip
        self.ejections = counter(
            "naru_endpoint_ejections_total", "Ejections of an endpoint for how it answers.",
            "model", "endpoint",
        )  # fmt: skip
        self.version_endpoints = reading(
            "naru_version_healthy_endpoints", "Endpoints of a version whose last health check passed.",
            "model", "version",
        )  # fmt: skip
        self.retries = counter(
            "naru_retries_total", "Requests sent to a further endpoint, by what was wrong with the one before.",
            "model", "version", "reason",
        )  # fmt: skip
        self.budget_exhausted = counter(
            "naru_retry_budget_exhausted_total", "Retries and hedges not made because the budget was spent.",
            "model",
        )  # fmt: skip
        self.fallbacks = counter(
            "naru_fallbacks_total", "Requests for a model that were sent to another one.",
            "model", "fallback",
        )  # fmt: skip
        self.hedges = counter(
            "naru_hedges_total", "Slow requests that were sent a second time; won: the second answered first.",
            "model", "outcome",
        )  # fmt: skip
        self.migrations = counter(
            "naru_migrations_total", "Streams whose engine died, by whether another endpoint continued them.",
            "model", "version", "outcome",
        )  # fmt: skip
        self.config_reloads = counter(
            "naru_config_reloads_total", "Times a configuration file was read again; outcome: ok or refused.",
            "file", "outcome",
        )  # fmt: skip
        self.config_good = setting(
            "naru_config_last_reload_successful", "0 while a file, as it is now, is refused and what it was is used."
        )
        self.config_since = setting(
            "naru_config_last_reload_success_timestamp_seconds", "Unix time at which a file was last taken over."
        )

        self.cache_requests = counter(
            "naru_cache_requests_total", "Requests for models that have a cache, by what it said.", "model", "result"
        )
        self.cache_bytes = Counts(
            "naru_cache_bytes", "Bytes of the answers that are kept.", ("model",), registry, gauge=True
        )
        self.cache_entries = Counts("naru_cache_entries", "Answers that are kept.", ("model",), registry, gauge=True)
        self.certificate_expiry = reading(
            "naru_certificate_expiry_timestamp_seconds",
            "Unix time at which the certificate that a port was started with ends; no sample without TLS.", "port",
        )  # fmt: skip
        self.loop_lag = histogram(
            "naru_event_loop_lag_seconds", "How much later than it asked for the event loop comes back.",
            (), LAG_BUCKETS,
        )  # fmt: skip

    def instruments(self) -> Iterator[Counts | Histograms]:
        """Those that hold what they were given; the others read it elsewhere."""
        return (each for each in vars(self).values() if isinstance(each, Counts | Histograms))

    def fold(self) -> None:
        """Sort what was observed into its buckets; see `Buckets.fold`."""
        for instrument in self.instruments():
            if isinstance(instrument, Histograms):
                instrument.fold()

    async def keep_folded(self) -> None:
        """For ever: a scrape may be far, and what is not in its bucket takes room."""
        while True:
            await asyncio.sleep(1)
            self.fold()

    async def keep_time(self) -> None:
        """For ever: what the event loop is late by, everything that runs on it is late by."""
        observe = self.loop_lag.labels().observe
        while True:
            due = time.perf_counter() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            observe(max(0.0, time.perf_counter() - due))

    def refused(self, operation: str, outcome: str, model: str = "", promised: Slo | None = None) -> None:
        """A request that reached no version: `model` is empty unless it is a configured one.

        `promised`: what the model's users were, where it was not the client's fault. They got nothing of it.
        """
        self.requests.labels(operation, model, "", outcome).inc()
        if promised is not None and outcome not in BLAMELESS:
            for objective, _ in promised.targets():
                self.slo.labels(model, objective, "false").inc()

    def watch(self, endpoints: Callable[[], Iterable[Endpoint]]) -> None:
        """Read the state of those that `endpoints` gives at every scrape."""

        def reading(state: Callable[[Endpoint], float]) -> Callable[[], dict[Labels, float]]:
            return lambda: {(each.model, each.authority): float(state(each)) for each in endpoints()}

        self.endpoint_healthy.read = reading(lambda endpoint: endpoint.healthy)
        self.endpoint_inflight.read = reading(lambda endpoint: endpoint.in_flight)
        self.circuit_open.read = reading(lambda endpoint: not endpoint.circuit.closed)

    def promise(self, registry: Registry) -> None:
        """Show what `registry` says of its models, and begin to count against it.

        A counter that is there before its first request lets Prometheus see that request.
        """
        models = registry.models.items()
        targets: dict[Labels, float] = {
            (name, objective): target for name, model in models for objective, target in model.slo.targets()
        }
        for model, objective in targets:
            for met in ("true", "false"):
                self.slo.labels(model, objective, met)
        self.slo_target.read = lambda: targets
        self.slo_threshold.read = lambda: {
            (name, objective): limit for name, model in models for objective, limit in model.slo.thresholds()
        }
        self.model_info.read = lambda: {
            (name, model.task, model.role.criticality, model.role.trigger): 1.0 for name, model in models
        }
        self.version_weight.read = lambda: {
            (name, version): share for name, model in models for version, share in model.shares.items()
        }

    def keep_only(self, endpoints: Iterable[Endpoint]) -> None:
        """Forget what was counted at any other endpoint; of these there is a count before the first ejection."""
        wanted = {(each.model, each.authority) for each in endpoints}
        self.ejections.keep_only(wanted)
        for model, endpoint in wanted:
            self.ejections.labels(model, endpoint)
