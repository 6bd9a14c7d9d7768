"""What discovery knows and how it fares, read where it is scraped."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry

from services.gateway.instruments import Readings
from services.gateway.registry import Registry
from services.gateway.upstream.discovery.base import Discovery


class DiscoveryMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.endpoints = Readings(
            "naru_discovered_endpoints", "A version's pods by state: ready, loading, draining, gone.",
            ("model", "version", "state"), registry,
        )  # fmt: skip
        self.connected = Readings(
            "naru_discovery_connected", "1 while a namespace's endpoints are watched; at 0 what was known is used.",
            ("namespace",), registry,
        )  # fmt: skip
        self.age = Readings(
            "naru_discovery_last_event_age_seconds", "Since the API server said anything of a namespace.",
            ("namespace",), registry,
        )  # fmt: skip
        self.lists = Readings(
            "naru_discovery_lists_total", "Times all of a namespace's endpoints were read; reason: start or expired.",
            ("namespace", "reason"), registry, gauge=False,
        )  # fmt: skip
        self.faults = Readings(
            "naru_discovery_faults_total", "Tries that failed: a status, timeout, network, garbage or configuration.",
            ("namespace", "reason"), registry, gauge=False,
        )  # fmt: skip

    def watch(self, discovery: Discovery, models: Callable[[], Registry]) -> None:
        """Read it, for the models that there are then, at every scrape."""
        self.connected.read = lambda: {(r.namespace,): float(r.connected) for r in discovery.reports()}
        self.age.read = lambda: {(r.namespace,): r.age for r in discovery.reports()}
        self.lists.read = lambda: {
            (r.namespace, why): float(count) for r in discovery.reports() for why, count in r.lists.items()
        }
        self.faults.read = lambda: {
            (r.namespace, why): float(count) for r in discovery.reports() for why, count in r.faults.items()
        }
        self.endpoints.read = lambda: {
            (name, label, state): float(count)
            for name, model in models().models.items()
            for label, version in model.versions.items()
            for state, count in discovery.states(version).items()
        }
