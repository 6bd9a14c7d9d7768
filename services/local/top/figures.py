"""What a gateway did between two looks at its metrics: rates, and quantiles of what was observed in between."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from services.local.top.samples import Samples, quantile

TTFT = "gen_ai_server_time_to_first_token_seconds"
TPOT = "gen_ai_server_time_per_output_token_seconds"
DURATION = "gen_ai_server_request_duration_seconds"
GOOD = frozenset({"ok", "client_cancelled"})
"""Outcomes that are nobody's error."""


@dataclass(frozen=True, slots=True)
class Look:
    """One reading of an admin port."""

    at: float
    """Seconds on a monotonic clock."""
    samples: Samples
    ready: dict[str, bool]
    """Of each model, whether an endpoint is healthy."""
    draining: bool

    @property
    def began(self) -> float:
        """When the gateway's process began: another one counts anew."""
        return self.samples.sum("process_start_time_seconds")


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds; None where nothing was observed."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True)
class VersionFigures:
    model: str
    version: str
    ready: bool
    running: int
    """Requests of the model, all versions together, like `queued`."""
    queued: int
    requests_per_second: float
    output_tokens_per_second: float
    ttft: Spread
    """Of streamed answers."""
    tpot: Spread
    duration: Spread
    """Of whole answers that succeeded, streamed or not."""
    outcomes: dict[str, int] = field(default_factory=dict)
    """Requests by how they ended."""
    slo: dict[str, float] = field(default_factory=dict)
    """Of each objective of the model, the share that met it."""

    @property
    def errors(self) -> int:
        return sum(count for outcome, count in self.outcomes.items() if outcome not in GOOD)


@dataclass(frozen=True, slots=True)
class EndpointFigures:
    model: str
    endpoint: str
    healthy: bool
    ejected: bool
    running: int


@dataclass(frozen=True, slots=True)
class Figures:
    seconds: float
    """How long the time between the two looks was; 0 where there was one only, and nothing is known of rates."""
    draining: bool
    memory: int
    """Resident bytes of the gateway."""
    requests_per_second: float
    output_tokens_per_second: float
    models: tuple[VersionFigures, ...]
    endpoints: tuple[EndpointFigures, ...]
    refused: dict[str, int]
    """Requests that came to no version, by outcome."""


def figures(old: Look, new: Look) -> Figures:
    before, after = old.samples, new.samples
    seconds = new.at - old.at
    return Figures(
        seconds, new.draining, int(after.sum("process_resident_memory_bytes")),
        _rate(after.since(before, "naru_requests_total"), seconds),
        _rate(after.since(before, "naru_tokens_total", type="output"), seconds),
        tuple(_versions(old, new)), tuple(_endpoints(after)), _outcomes(before, after, version=""),
    )  # fmt: skip


def _rate(count: float, seconds: float) -> float:
    return count / seconds if seconds > 0 else 0.0


def _versions(old: Look, new: Look) -> Iterator[VersionFigures]:
    known = {(model, "") for model in new.ready}
    known |= {(found["model"], found["version"]) for found, _ in new.samples.of("naru_requests_total")}
    served = {model for model, version in known if version}
    for model, version in sorted(known):
        if model and (version or model not in served):
            yield _version(old, new, model, version)


def _version(old: Look, new: Look, model: str, version: str) -> VersionFigures:
    before, after, seconds = old.samples, new.samples, new.at - old.at
    ours = {"model": model, "version": version}

    def spread(name: str, **labels: str) -> Spread:
        observed = {"gen_ai_request_model": model, "version": version, **labels}
        found = after.by_since(before, "le", f"{name}_bucket", **observed)
        return Spread(quantile(0.5, found), quantile(0.95, found))

    return VersionFigures(
        model, version, new.ready.get(model, False), int(after.sum("naru_inflight_requests", model=model)),
        int(after.sum("naru_queue_depth", model=model)),
        _rate(after.since(before, "naru_requests_total", **ours), seconds),
        _rate(after.since(before, "naru_tokens_total", type="output", **ours), seconds),
        spread(TTFT, stream="true"), spread(TPOT), spread(DURATION, error_type=""),
        _outcomes(before, after, **ours), _slo(before, after, model),
    )  # fmt: skip


def _outcomes(before: Samples, after: Samples, **labels: str) -> dict[str, int]:
    found = after.by_since(before, "outcome", "naru_requests_total", **labels)
    return {outcome: int(count) for outcome, count in sorted(found.items()) if count}


def _slo(before: Samples, after: Samples, model: str) -> dict[str, float]:
    judged = after.by_since(before, "objective", "naru_slo_requests_total", model=model)
    met = after.by_since(before, "objective", "naru_slo_requests_total", model=model, met="true")
    return {objective: met.get(objective, 0.0) / count for objective, count in sorted(judged.items()) if count}


def _endpoints(samples: Samples) -> Iterator[EndpointFigures]:
    for found, healthy in samples.of("naru_endpoint_healthy"):
        model, endpoint = found["model"], found["endpoint"]
        state = {name: samples.sum(f"naru_endpoint_{name}", **found) for name in ("circuit_open", "inflight")}
        yield EndpointFigures(model, endpoint, healthy == 1, state["circuit_open"] == 1, int(state["inflight"]))
