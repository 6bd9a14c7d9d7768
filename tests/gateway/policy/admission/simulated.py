"""Admission on a clock of the test's own, with an engine of known speed: every run comes out the same."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from services.common.errors import NaruError
from services.gateway.metrics import Metrics
from services.gateway.policy.admission.admissions import Admissions
from services.gateway.registry import Priority, Registry
from services.gateway.relay.admission import UNLIMITED, Place
from services.gateway.relay.call import Call
from services.gateway.relay.dialects import OpenAIStream
from services.gateway.routing.builder import FleetBuilder
from services.gateway.routing.dispatch import seeded
from services.gateway.settings import GatewaySection
from services.gateway.upstream.discovery.static import Static


@dataclass
class Timer:
    what: Callable[[], None] | None

    def cancel(self) -> None:
        self.what = None


class Clock:
    def __init__(self) -> None:
        self.time = 0.0
        self._ahead: list[tuple[float, int, Timer]] = []
        self._numbers = count()

    @property
    def now(self) -> Callable[[], float]:
        return lambda: self.time

    @property
    def timers(self) -> int:
        return sum(timer.what is not None for _, _, timer in self._ahead)

    def soon(self, what: Callable[[], None]) -> None:
        self.later(0.0, what)

    def later(self, seconds: float, what: Callable[[], None]) -> Timer:
        timer = Timer(what)
        heapq.heappush(self._ahead, (self.time + seconds, next(self._numbers), timer))
        return timer

    def run(self, until: float) -> None:
        while self._ahead and self._ahead[0][0] <= until:
            self.time, _, timer = heapq.heappop(self._ahead)
            if timer.what is not None:
                timer.what()
        self.time = until


@dataclass(eq=False)
class Request:
    """An applicant: it takes `seconds` once it has its turn."""

    model: "Model"
    call: Call
    seconds: float
    sent: float
    place: Place = UNLIMITED
    started: float | None = None
    ended: float | None = None
    error: NaruError | None = None
    refused: float | None = None
    told: Callable[["Request"], None] = lambda _: None
    """Called when it is refused."""
    done: Callable[["Request"], None] = lambda _: None

    def begin(self) -> None:
        try:
            self.place = self.model.admissions.enter(self.call, self)
        except NaruError as error:
            self.abort(error)
            return
        if self.place.running:
            self.proceed()

    def proceed(self) -> None:
        assert self.started is None
        assert self.error is None
        clock = self.model.clock
        self.started = clock.time
        self.model.running += 1
        self.model.most = max(self.model.most, self.model.running)
        clock.later(self.seconds, self.finish)

    def finish(self) -> None:
        if self.ended is None:
            self.ended = self.model.clock.time
            self.model.running -= 1
            assert self.started is not None
            self.model.served[self.call.tenant] += self.ended - self.started
            self.place.leave()
            self.done(self)

    def abort(self, error: NaruError) -> None:
        assert self.started is None
        self.error, self.refused = error, self.model.clock.time
        self.place.leave()
        self.told(self)

    def leave(self) -> None:
        """The client goes."""
        if self.started is not None:
            self.finish()
        else:
            self.ended = self.model.clock.time
            self.place.leave()


@dataclass
class Model:
    """One model `m`, and the metrics of its admission."""

    settings: Mapping[str, Any] | None
    """Its `admission`."""
    weights: Mapping[str, float] = field(default_factory=dict)
    role: Mapping[str, str] = field(default_factory=dict)
    endpoints: int = 1
    clock: Clock = field(default_factory=Clock)
    running: int = 0
    most: int = 0
    served: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """Seconds at the model, by tenant."""
    activation: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        urls = [f"http://127.0.0.1:{port}" for port in range(9000, 9000 + self.endpoints)]
        model = {
            "task": "chat", "versions": {"v1": {"endpoints": urls}}, "role": self.role, "admission": self.settings,
            "activation": self.activation,
        }  # fmt: skip
        self.metrics = Metrics(CollectorRegistry())
        builder = FleetBuilder(GatewaySection(registry=Path()), self.metrics, seeded(1), Static())
        self.fleet = builder.build(Registry.model_validate({"models": {"m": model}}))
        self._numbers = count()
        self.admissions = Admissions(self.metrics, self.clock)
        self.admissions.use(self.fleet)
        self.turn(healthy=True)

    def turn(self, *, healthy: bool) -> None:
        """All endpoints become so."""
        for endpoint in self.fleet.endpoints():
            endpoint.healthy = healthy
            self.admissions.turned(endpoint)

    def activating(self) -> bool:
        return self.admissions.activating() == {("m",): 1.0}

    def send(
        self, seconds: float = 1.0, priority: Priority | None = None, tenant: str = "t", *,
        due: float | None = None, again: Request | None = None,
        told: Callable[[Request], None] = lambda _: None, done: Callable[[Request], None] = lambda _: None,
    ) -> Request:  # fmt: skip
        """`again`: the same request as that one, sent once more."""
        body = b"%d" % next(self._numbers) if again is None else again.call.body
        call = Call(
            "chat", OpenAIStream(), self.fleet.models["m"], "/v1/chat/completions", body, b"", True, False, tenant,
            "id", self.clock.time, weight=self.weights.get(tenant, 1.0), priority=priority, due=due,
        )  # fmt: skip
        request = Request(self, call, seconds, self.clock.time, told=told, done=done)
        request.begin()
        return request

    def depth(self, priority: Priority | None = None) -> float:
        samples = next(iter(self.metrics.queue_depth.collect())).samples
        return sum(s.value for s in samples if priority is None or s.labels["priority"] == priority)

    def shed(self) -> Counter[tuple[str, str]]:
        """By class and reason."""
        samples = next(iter(self.metrics.shed.collect())).samples
        return Counter({(s.labels["priority"], s.labels["reason"]): int(s.value) for s in samples})
