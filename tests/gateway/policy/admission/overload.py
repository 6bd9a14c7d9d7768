"""Three times what a model can serve, from four classes and three tenants; whoever is refused returns when told."""

import random
from collections import Counter
from dataclasses import dataclass, field

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
            self.model.clock.later(at, lambda one=one: self._send(one))

    def run(self, until: float) -> None:
        self.model.clock.run(until)

    def served(self, before: float | None = None, after: float = 0.0) -> list[Sent]:
        before = self.seconds if before is None else before
        return [one for one in self.sent if (end := one.attempts and one.attempts[-1].ended) and after <= end < before]

    def _send(self, one: Sent) -> None:
        again = one.attempts[-1] if one.attempts else None

        def told(request: Request) -> None:
            if self.returning and isinstance(request.error, Saturated) and request.error.retry_after:
                later = request.error.retry_after + self.draw.uniform(0.001, 0.05)
                self.model.clock.later(later, lambda: self._send(one))

        request = self.model.send(one.seconds, one.priority, one.tenant, again=again, told=told)
        one.attempts.append(request)


if __name__ == "__main__":
    for load in (1.0, 3.0):
        for returning in (False, True):
            for seed in (1, 2, 3):
                run = Overload(load, returning=returning, seed=seed)
                run.run(600)
                offered = Counter(s.priority for s in run.sent)
                served = Counter(s.priority for s in run.served())
                print(
                    load,
                    returning,
                    "capacity",
                    run.concurrency / run.service * 60,
                    {str(p): (offered[p], served[p], round(served[p] / offered[p], 2)) for p in Priority},
                )
                te = Counter(s.tenant for s in run.served(after=5) if s.priority == Priority.CORE_PROACTIVE)
                print(
                    "   tenants in core-proactive",
                    dict(te),
                    Counter(len(s.attempts) for s in run.sent),
                    run.model.shed(),
                )
                print(
                    "   second attempt refused",
                    {
                        str(p): (
                            sum(len(s.attempts) > 1 for s in run.sent if s.priority == p),
                            sum(len(s.attempts) > 2 for s in run.sent if s.priority == p),
                        )
                        for p in Priority
                    },
                    "unserved",
                    sum(not s.attempts[-1].ended for s in run.sent),
                )
    run = Overload(3.0, seed=1)
    run.run(600)
    for p in Priority:
        rows = []
        for lo in range(0, 300, 20):
            second = [
                s.attempts[1]
                for s in run.sent
                if s.priority == p and len(s.attempts) > 1 and lo <= s.attempts[1].sent < lo + 20
            ]
            bad = [a for a in second if a.error]
            rows.append(
                (lo, len(second), len(bad), Counter(str(a.error.message).split(": ")[1].split(";")[0] for a in bad))
            )
        print(p, *rows, sep="\n   ")
