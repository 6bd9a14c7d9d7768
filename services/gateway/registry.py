"""The model registry: which models there are, where each version runs and what is promised of it.

The YAML's shape is the same on a laptop and in a cluster; see `load`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, ValidationError, model_validator

from services.common.durations import Duration
from services.common.settings import Section


class RegistryError(ValueError):
    """The registry file cannot be used; the message names the field."""


class Task(StrEnum):
    CHAT = "chat"
    EMBEDDING = "embedding"
    SENTIMENT = "sentiment"
    RECOMMENDATION = "recommendation"


TOKENS = frozenset({Task.CHAT, Task.EMBEDDING})
"""Tasks whose engines count tokens."""


class Criticality(StrEnum):
    CORE = "core"
    COMPLEMENTARY = "complementary"


class Trigger(StrEnum):
    REACTIVE = "reactive"
    PROACTIVE = "proactive"


class Adaptation(StrEnum):
    STATIC = "static"
    DYNAMIC = "dynamic"


_SIZES = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def size(value: object) -> object:
    """`64MiB`, `512KiB`, `1GiB` or a number of bytes, as bytes."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+)(KiB|MiB|GiB)", value)
        if match is None:
            raise ValueError("give a size such as 512KiB, 64MiB or 1GiB")
        return int(match[1]) * _SIZES[match[2]]
    return value


def _endpoint(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError("an endpoint is http://host:port, with no path, query or user")
    return f"http://{parts.netloc}"


def _port(value: object) -> object:
    """A port's name as Kubernetes has them (RFC 6335, 5.1), or a number."""
    if isinstance(value, str):
        named = len(value) <= 15 and re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", value) and not value.isdigit()
        if not named:
            raise ValueError("a port is its name, such as http, or its number")
    elif isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise ValueError("a port is its name, such as http, or a number from 1 to 65535")
    return value


Size = Annotated[int, BeforeValidator(size), Field(ge=2**10)]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:-]{0,127}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
"""A DNS label, as names in Kubernetes are."""


class Price(Section):
    """What using a model costs."""

    input: float = Field(default=0.0, ge=0)
    """For a million tokens in."""
    output: float = Field(default=0.0, ge=0)
    """For a million tokens out."""
    request: float = Field(default=0.0, ge=0)
    """For each request that got its answer."""
    currency: str = Field(default="USD", pattern=r"^[A-Za-z]{1,16}$")
    """The word that stands beside the amounts; nothing is converted."""

    def of(self, input_tokens: int, output_tokens: int, answers: int) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6 + answers * self.request

    @model_validator(mode="after")
    def _some_price(self) -> Self:
        if not (self.input or self.output or self.request):
            raise ValueError("give input, output or request; leave the price out where the model costs nothing")
        return self


class Version(Section):
    endpoints: tuple[Annotated[str, AfterValidator(_endpoint)], ...] = ()
    """Where this version answers: `http://host:port` each."""
    service: Label | None = None
    """Or the Kubernetes Service whose pods answer. See docs/kubernetes.md."""
    port: Annotated[str | int, BeforeValidator(_port)] = "http"
    """The name of the Service's port, or the number of its pods' port."""
    namespace: Label | None = None
    """The Service's; left out, the gateway's own."""
    weight: int = Field(default=100, ge=0)
    """This version's share of the traffic, relative to the other versions' weights."""
    mirror: float = Field(default=0, ge=0, le=100)
    """Percent of the model's requests that this version gets a copy of; its answers are dropped and measured."""
    price: Price | None = None
    """This version's, where it is not the model's."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.endpoints) == (self.service is not None):
            raise ValueError("give endpoints or service, one of them")
        if self.service is None and self.model_fields_set & {"port", "namespace"}:
            raise ValueError("port and namespace are a service's; an endpoint has its port in its address")
        return self

    @model_validator(mode="after")
    def _a_shadow_answers_nobody(self) -> Self:
        if self.mirror and self.weight:
            raise ValueError("a version that mirrors takes no share of the traffic: give it weight 0")
        return self


class Priority(StrEnum):
    """How urgent a request is, the most urgent first: that one is served first and shed last."""

    CORE_REACTIVE = "core-reactive"
    CORE_PROACTIVE = "core-proactive"
    COMPLEMENTARY_REACTIVE = "complementary-reactive"
    COMPLEMENTARY_PROACTIVE = "complementary-proactive"


class Role(Section):
    """What a model is to its product."""

    criticality: Criticality = Criticality.CORE
    trigger: Trigger = Trigger.REACTIVE
    adaptation: Adaptation = Adaptation.STATIC

    @property
    def priority(self) -> Priority:
        return Priority(f"{self.criticality}-{self.trigger}")


class Slo(Section):
    """What users are promised; an objective left out is not measured."""

    ttft: Duration | None = None
    tpot: Duration | None = None
    percentile: float = Field(default=95.0, gt=0, lt=100)
    """Percent of the requests that must keep `ttft`, and of those that must keep `tpot`: 95 promises a p95."""
    availability: float | None = Field(default=None, gt=0, le=100)
    """Percent of the requests that must get their answer."""

    def thresholds(self) -> Iterator[tuple[str, float]]:
        """Seconds, by objective."""
        for objective, limit in (("ttft", self.ttft), ("tpot", self.tpot)):
            if limit is not None:
                yield objective, limit

    def targets(self) -> Iterator[tuple[str, float]]:
        """The share of the requests that must meet each objective that is measured."""
        for objective, _ in self.thresholds():
            yield objective, self.percentile / 100
        if self.availability is not None:
            yield "availability", self.availability / 100


class Weights(Section):
    """How much each score counts when an endpoint is picked; 0 leaves it out. See docs/routing.md."""

    in_flight: float = Field(default=1.0, ge=0)
    """Few requests of this gateway's at the endpoint."""
    queue: float = Field(default=1.0, ge=0)
    """Few requests waiting in its engine."""
    kv_cache: float = Field(default=0.5, ge=0)
    """Room in its engine's KV cache."""
    prefix: float = Field(default=3.0, ge=0)
    """It served a prompt that began alike."""
    session: float = Field(default=8.0, ge=0)
    """It is the session's own."""
    adapter: float = Field(default=2.0, ge=0)
    """It has the adapter loaded."""


class Routing(Section):
    weights: Weights = Weights()
    spread: float = Field(default=1.25, ge=1)
    """Prefix and session attract to no endpoint that has more than this many times the mean load."""
    choices_above: int = Field(default=16, ge=2)
    """With more candidates than this, two drawn at random are compared instead of all."""
    prefix_blocks: int = Field(default=32_768, ge=1)
    """Blocks of 1,024 bytes of prompts that are remembered, about 200 bytes of memory each."""


class Timeouts(Section):
    """A model's own, where the gateway's `NARU_GATEWAY__UPSTREAM__*_TIMEOUT` do not suit it."""

    connect: Duration | None = None
    first_token: Duration | None = None
    idle: Duration | None = None
    total: Duration | None = None


class Admission(Section):
    """How many of a model's requests run at once, and how many wait for it. See docs/admission.md."""

    concurrency: int | None = Field(default=None, ge=1)
    """Requests that run at once, over all endpoints."""
    per_endpoint: int | None = Field(default=None, ge=1)
    """Or so many for each healthy endpoint: for vLLM its `--max-num-seqs`."""
    queue: int | None = Field(default=None, ge=0)
    """Requests that wait; left out, twice as many as may run. Those that come back as `Retry-After` told them to have
    as much room again in each class."""
    patience: Duration = 30.0
    """Seconds a request waits at most; then it is refused. Of a class that gets no turn, one that came back as it was
    told to may wait for the turn that is set aside: a minute, where that is longer."""
    overflow: bool = False
    """Whether a request goes to the model's `fallback` where it would be refused here."""

    @model_validator(mode="after")
    def _one_limit(self) -> Self:
        if (self.concurrency is None) == (self.per_endpoint is None):
            raise ValueError("give concurrency or per_endpoint, one of them")
        return self


class Activation(Section):
    """Requests wait while a model has no healthy endpoint: it is started for them, or being replaced."""

    timeout: Duration = 300.0
    """How long a request waits at most; then it is answered 503."""
    queue: int = Field(default=1000, ge=1)
    """Requests that wait meanwhile; a further one is refused like in any full queue."""


class Cache(Section):
    """Answers are kept for requests that come again. See docs/cache.md."""

    bytes: Size = 64 * 2**20
    """What is kept at most; the answers not used for the longest time make room."""
    ttl: Duration = 600.0
    """How long an answer is kept."""
    shared: bool = False
    """Whether a tenant may get what another one's request was answered."""


class Model(Section):
    task: Task
    versions: dict[Name, Version] = Field(min_length=1)
    role: Role = Role()
    slo: Slo = Slo()
    price: Price | None = None
    """What tenants are charged; left out, nothing."""
    adapters: tuple[Name, ...] = ()
    """LoRA adapters of this model that its engines serve; each may be asked for by its name, like a model."""
    routing: Routing = Routing()
    timeouts: Timeouts = Timeouts()
    fallback: tuple[Name, ...] = ()
    """Models of the same task that answer, in this order, where no endpoint of this one can."""
    admission: Admission | None = None
    """Left out, every request is sent at once."""
    activation: Activation | None = None
    """Left out, a request that finds no healthy endpoint is answered 503 at once."""
    cache: Cache | None = None
    """Left out, nothing is kept."""
    hedge: bool | None = None
    """Whether a slow answer is asked for a second time; left out, a core, reactive task model's is."""

    def price_of(self, version: str) -> Price | None:
        return self.versions[version].price or self.price

    @property
    def shadows(self) -> dict[str, float]:
        """Versions that get a copy of requests and answer nobody who does not name them: percent of the requests."""
        return {label: version.mirror for label, version in self.versions.items() if version.mirror}

    @property
    def shares(self) -> dict[str, float]:
        """Each version's share of the traffic."""
        total = sum(version.weight for version in self.versions.values())
        return {label: version.weight / total for label, version in self.versions.items()}

    @property
    def hedged(self) -> bool:
        """Hedging needs a second endpoint to ask; a chat answer is too dear to ask for twice."""
        several = any(version.service or len(version.endpoints) > 1 for version in self.versions.values())
        if self.task is Task.CHAT or not several:
            return False
        if self.hedge is not None:
            return self.hedge
        role = self.role
        return role.criticality is Criticality.CORE and role.trigger is Trigger.REACTIVE

    @model_validator(mode="after")
    def _chat_is_never_hedged(self) -> Self:
        if self.hedge and self.task is Task.CHAT:
            raise ValueError("hedge: a chat answer is never asked for twice")
        return self

    @model_validator(mode="after")
    def _a_task_model_is_priced_per_request(self) -> Self:
        prices = (self.price, *(version.price for version in self.versions.values()))
        if self.task not in TOKENS and any(price and (price.input or price.output) for price in prices):
            raise ValueError(f"price: a {self.task} model counts no tokens; give its price per request")
        return self

    @model_validator(mode="after")
    def _overflow_leads_somewhere(self) -> Self:
        if self.admission is not None and self.admission.overflow and not self.fallback:
            raise ValueError("admission.overflow: the model has no fallback")
        return self

    @model_validator(mode="after")
    def _some_version_takes_traffic(self) -> Self:
        if not any(version.weight for version in self.versions.values()):
            raise ValueError("every version has weight 0: give at least one a weight above 0")
        return self


class Registry(Section):
    models: dict[Name, Model] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Self:
        adapters = [adapter for model in self.models.values() for adapter in model.adapters]
        twice = [name for name, count in Counter([*self.models, *adapters]).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} names more than one model or adapter")
        return self

    @model_validator(mode="after")
    def _fallbacks_lead_somewhere(self) -> Self:
        for name, model in self.models.items():
            for other in model.fallback:
                if other not in self.models:
                    raise ValueError(f"models.{name}.fallback: there is no model {other!r}")
                if self.models[other].task is not model.task:
                    raise ValueError(f"models.{name}.fallback: {other!r} does another task")
            if name in self._reached(name):
                raise ValueError(f"models.{name}.fallback: it leads back to {name!r}")
        return self

    def _reached(self, name: str) -> set[str]:
        """Every model that the fallbacks of a model lead to."""
        reached: set[str] = set()
        ahead = list(self.models[name].fallback)
        while ahead:
            step = ahead.pop()
            if step not in reached:
                reached.add(step)
                ahead += self.models[step].fallback if step in self.models else ()
        return reached

    def default(self, task: Task) -> str | None:
        """The first model of a task: what a request that names none gets."""
        return next((name for name, model in self.models.items() if model.task is task), None)


def load(path: Path) -> Registry:
    """Read a registry file. Raises RegistryError, which names the file, the field and what is wrong with it."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RegistryError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none is a ValueError
        raise RegistryError(f"{path} is not YAML: {error}") from None
    try:
        return Registry.model_validate(data)
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise RegistryError(f"{path}: {faults}") from None
