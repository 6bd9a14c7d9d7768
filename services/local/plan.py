"""What the local stack consists of: a command, its environment and its readiness for each service."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from services.gateway.policy.keyfile import KeyFile, write_keys
from services.gateway.settings import AdminSettings, GrpcSettings, HttpSettings, Settings
from services.llm.settings import Settings as LlmSettings
from services.local.key import admin_key
from services.local.keys import default_file
from services.recommendation.settings import Settings as RecommendationSettings
from services.sentiment.settings import Settings as SentimentSettings


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    command: tuple[str, ...]
    ready_url: str
    """Answers 200 once the service can do its work."""
    prepare: tuple[str, ...] | None = None
    """Makes the service's model; returns at once where it is there."""
    variables: dict[str, str] = field(default_factory=dict)
    grace: float = 15.0
    """Seconds it may take to stop."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything `naru up` starts, and where it is reached. Services stand in the order in which they are stopped."""

    services: tuple[Service, ...]
    gateway: str
    grpc: str | None
    """Host and port of the gateway's gRPC; None where it is off."""
    admin: str
    models: dict[str, str]
    """Model to task, as the registry has them."""


def _module(name: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", name, *arguments)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Host and port of every service, from the services' own settings."""

    http: HttpSettings
    grpc: GrpcSettings
    admin: AdminSettings
    llm: LlmSettings
    sentiment: SentimentSettings
    recommendation: RecommendationSettings


def addresses() -> Addresses:
    """Raises pydantic's ValidationError for a variable that is wrong."""
    # The registry is written by `registry` below; the gateway's settings ask for its path.
    os.environ.setdefault("NARU_GATEWAY__REGISTRY", "unset")
    gateway = Settings().gateway  # type: ignore[call-arg] # the environment gives it
    return Addresses(
        gateway.http, gateway.grpc, gateway.admin, LlmSettings(), SentimentSettings(), RecommendationSettings()
    )  # fmt: skip


def registry(found: Addresses, services: Sequence[str]) -> dict[str, Any]:
    """The registry for these services; all the models where only the gateway is started."""
    llm, sentiment, recommendation = found.llm.llm, found.sentiment.sentiment, found.recommendation.recommendation
    core = {"criticality": "core", "trigger": "reactive", "adaptation": "static"}
    side = {"criticality": "complementary", "trigger": "reactive", "adaptation": "static"}
    slo = {"ttft": "500ms", "tpot": "100ms", "availability": 99.9}

    # As many as vLLM computes at once, and as many waiting as it would hold itself: here they wait in order.
    admission = {
        "per_endpoint": llm.max_num_seqs, "queue": max(0, llm.max_requests - llm.max_num_seqs), "patience": "60s",
    }  # fmt: skip

    def version(port: int) -> dict[str, Any]:
        return {"endpoints": [f"http://127.0.0.1:{port}"], "weight": 100}

    models = {
        "llm": (llm.served_name, {
            "task": "chat", "versions": {"v1": version(llm.port)}, "role": core, "slo": slo, "admission": admission,
        }),
        "sentiment": (sentiment.model, {
            "task": "sentiment", "versions": {sentiment.version: version(sentiment.port)}, "role": side,
            "slo": {"availability": 99.9},
        }),
        "recommendation": (recommendation.model, {
            "task": "recommendation", "versions": {recommendation.version: version(recommendation.port)}, "role": side,
            "slo": {"availability": 99.9},
        }),
    }  # fmt: skip
    wanted = [name for name in models if name in services] or list(models)
    return {"models": dict(models[name] for name in wanted)}


def _tenancy(state: Path) -> dict[str, str]:
    """So that `naru keys` and `naru usage` work here; what the environment gives stays."""
    file = default_file()
    if not file.exists():
        write_keys(file, KeyFile())
    return {
        "NARU_GATEWAY__KEYS__FILE": str(file),
        "NARU_GATEWAY__ADMIN__API_KEY": admin_key(),
        "NARU_GATEWAY__USAGE__FOLDER": os.environ.get("NARU_GATEWAY__USAGE__FOLDER") or str(state / "usage"),
    }


def _traces(service: str) -> dict[str, str]:
    """The gateway's collector takes the services' spans too, unless they have one of their own."""
    collector, own = os.environ.get("NARU_GATEWAY__TRACING__ENDPOINT"), f"NARU_{service.upper()}__TRACES"
    return {own: collector} if collector and own not in os.environ else {}


def make(found: Addresses, services: Sequence[str], key: str, state: Path) -> Plan:
    """The plan for these services; writes the registry that the gateway reads."""
    models = registry(found, services)
    path = state / "registry.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(models, sort_keys=False), encoding="utf-8")
    gateway, admin = f"http://127.0.0.1:{found.http.port}", f"http://127.0.0.1:{found.admin.port}"
    grpc = f"127.0.0.1:{found.grpc.port}" if found.grpc.enabled else None
    llm, sentiment, recommendation = found.llm.llm, found.sentiment.sentiment, found.recommendation.recommendation
    every = {
        "gateway": Service(
            "gateway", _module("services.gateway"), f"{admin}/readyz", grace=40,
            variables={"NARU_API_KEY": key, "NARU_GATEWAY__REGISTRY": str(path), **_tenancy(state)},
        ),
        "sentiment": Service(
            "sentiment", _module("services.sentiment"), f"http://127.0.0.1:{sentiment.port}/readyz",
            variables=_traces("sentiment"),
        ),
        "recommendation": Service(
            "recommendation", _module("services.recommendation"), f"http://127.0.0.1:{recommendation.port}/readyz",
            _module("services.recommendation.prepare"), variables=_traces("recommendation"),
        ),
        "llm": Service(
            "llm", _module("services.llm"), f"http://127.0.0.1:{llm.port}/v1/models", _module("services.llm.prepare"),
            grace=llm.drain_timeout + 10, variables=_traces("llm"),
        ),
    }  # fmt: skip
    tasks = {name: str(model["task"]) for name, model in models["models"].items()}
    return Plan(tuple(every[name] for name in services), gateway, grpc, admin, tasks)
