"""Three times what a model can serve, from four classes and three tenants; whoever is refused returns when told."""

import random
from dataclasses import dataclass, field
from functools import partial

from services.common.errors import Saturated
from services.gateway.registry import Priority
from tests.gateway.policy.admission.simulated import Model, Request

WEIGHTS = {"small": 1.0, "middle": 2.0, "large": 4.0}


@dataclass
class Sent:
    """One client's request, with all its attempts."""

    priority: Priority
    tenant: str
    seconds: float
    attempts: list[Request] = field(default_factory=list)


@dataclass
class Overload:
    """Poisson arrivals at `load` times the capacity for `seconds`, in equal parts of all classes and tenants."""

    load: float
    seconds: float = 60.0
    concurrency: int = 8
    service: float = 0.5
    patience: float = 10.0
    returning: bool = True
    seed: int = 1
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Everything is drawn now; `run` lets it happen."""
        self.draw = random.Random(self.seed)
        self.model = Model(
            {"concurrency": self.concurrency, "queue": 4 * self.concurrency, "patience": self.patience}, WEIGHTS
        )
        rate = self.load * self.concurrency / self.service
        at = 0.0
        while (at := at + self.draw.expovariate(rate)) < self.seconds:
            tenant = self.draw.choice(list(WEIGHTS))
            one = Sent(self.draw.choice(list(Priority)), tenant, self.draw.uniform(0.5, 1.5) * self.service)
            self.sent.append(one)
            self.model.clock.later(at, partial(self._send, one))

    def run(self, until: float) -> None:
        self.model.clock.run(until)

    def served(self, **which: object) -> int:
        """Requests sent and answered while the load lasted."""
        return sum(bool(one.attempts) and _in(one.attempts[-1].ended, self.seconds) for one in self.of(**which))

    def of(self, **which: object) -> list[Sent]:
        """`priority`, `tenant`: those of it."""
        return [one for one in self.sent if all(getattr(one, name) == value for name, value in which.items())]

    def _send(self, one: Sent) -> None:
        again = one.attempts[-1] if one.attempts else None

        def told(request: Request) -> None:
            if self.returning and isinstance(request.error, Saturated) and request.error.retry_after:
                later = request.error.retry_after + self.draw.uniform(0.001, 0.05)
                self.model.clock.later(later, partial(self._send, one))

        request = self.model.send(one.seconds, one.priority, one.tenant, again=again, told=told)
        one.attempts.append(request)


def _in(ended: float | None, before: float) -> bool:
    return ended is not None and ended < before
