"""What an overload came to, and what is demanded of it."""

import statistics
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from services.gateway.registry import Priority

LEVEL = 0.95
"""Of the share of the most urgent class that is served at capacity, what is still served under overload."""
FAIR = 0.8
"""Of its fair share, what each tenant gets at least."""
ALIKE = 0.02
"""Shares refused that differ by no more than this are the same."""
AT_ONCE = 0.05
"""Seconds in which a refusal comes that needs no waiting."""
RETURNED = 0.95
"""Share of the requests that came back as told and were served."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Times of one clock, in seconds; `done` is None where it was refused, `why` then says why."""

    began: float
    answered: float
    done: float | None
    retry_after: int | None = None
    why: str = ""


@dataclass(slots=True)
class Sent:
    """One client's request: a first attempt, and a second one where it was told to return."""

    priority: Priority
    tenant: str
    attempts: list[Attempt] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Found:
    sent: list[Sent]
    began: float
    seconds: float
    rate: float

    def of(self, priority: Priority, tenant: str | None = None) -> list[Sent]:
        return [one for one in self.sent if one.priority is priority and tenant in (None, one.tenant)]

    def served(self, priority: Priority, tenant: str | None = None) -> int:
        """Answers to what was sent while the load lasted."""
        end = self.began + self.seconds
        return sum(
            attempt.done is not None and attempt.began < end
            for one in self.of(priority, tenant)
            for attempt in one.attempts
        )

    def refused(self, priority: Priority) -> int:
        return sum(one.attempts[0].done is None for one in self.of(priority))

    def level(self, priority: Priority) -> float:
        """Of what was asked for, the share that was served."""
        return self.served(priority) / len(self.of(priority))

    def at_once(self) -> list[float]:
        """How long the refusals took that waited for nothing, in seconds."""
        attempts = (attempt for one in self.sent for attempt in one.attempts)
        return [found.answered - found.began for found in attempts if "as many requests wait as may" in found.why]

    def returned(self, priority: Priority) -> list[Attempt]:
        return [one.attempts[1] for one in self.of(priority) if len(one.attempts) > 1]


def fair_shares(total: float, demands: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted max-min fairness: nobody gets more than it asks for, and what is left goes to the others by weight."""
    shares: dict[str, float] = {}
    left = dict(demands)
    while left:
        unit = total / sum(weights[name] for name in left)
        content = [name for name, demand in left.items() if demand <= unit * weights[name]] or list(left)
        for name in content:
            shares[name] = min(left.pop(name), unit * weights[name])
            total -= shares[name]
    return shares


def tenants(found: Found, priority: Priority, weights: Mapping[str, float]) -> dict[str, tuple[int, float]]:
    """By tenant: what was served, and its fair share of what its class was served."""
    demands = {tenant: float(len(found.of(priority, tenant))) for tenant in weights}
    fair = fair_shares(found.served(priority), demands, weights)
    return {tenant: (found.served(priority, tenant), fair[tenant]) for tenant in weights}


def report(at_capacity: Found, over: Found, weights: Mapping[str, float]) -> bool:
    """Print it; whether all that is demanded holds."""
    print("\n| class | asked/s, then | served at capacity | under overload | refused | returned | of these served |")
    print("|---|---|---|---|---|---|---|")
    for priority in Priority:
        returned = over.returned(priority)
        print(
            f"| {priority} | {at_capacity.rate / 4:.1f}, {over.rate / 4:.1f} | {at_capacity.level(priority):.1%} "
            f"| {over.level(priority):.1%} | {over.refused(priority)} | {len(returned)} | {_share_served(returned)} |"
        )
    print("\n| tenant | weight | class | served | fair share | of it |\n|---|---|---|---|---|---|")
    for priority in Priority:
        for tenant, (served, fair) in tenants(over, priority, weights).items():
            of_it = f"{served / fair:.0%}" if fair else "-"
            print(f"| {tenant} | {weights[tenant]} | {priority} | {served} | {fair:.0f} | {of_it} |")
    took = sorted(over.at_once())
    print(f"\nrefused at once: {len(took)}, p50 {_ms(took, 0.5)}, p99 {_ms(took, 0.99)}, longest {_ms(took, 1)}\n")
    broken = list(faults(at_capacity, over, weights))
    print("\n".join(broken) or "all that is demanded holds")
    return not broken


def faults(at_capacity: Found, over: Found, weights: Mapping[str, float]) -> Iterator[str]:
    """What does not hold of what is demanded."""
    first = next(iter(Priority))
    if over.level(first) < LEVEL * at_capacity.level(first):
        yield f"{first}: {over.level(first):.1%} served under overload, {at_capacity.level(first):.1%} at capacity"
    refused = [over.refused(priority) / len(over.of(priority)) for priority in Priority]
    if any(less < more - ALIKE for more, less in pairwise(refused)):
        yield "a more urgent class was refused more often than a less urgent one"
    for priority in Priority:
        for tenant, (served, fair) in tenants(over, priority, weights).items():
            if fair >= 20 and served < FAIR * fair:
                yield f"tenant {tenant} got {served / fair:.0%} of its share of {priority}"
    returned = [attempt for priority in Priority for attempt in over.returned(priority)]
    if returned and statistics.mean(attempt.done is not None for attempt in returned) < RETURNED:
        yield f"{_share_served(returned)} of those that returned as told were served"
    took = over.at_once()
    if took and sorted(took)[int(0.99 * (len(took) - 1))] > AT_ONCE:
        yield "refusals took longer than they may"


def _share_served(attempts: Iterable[Attempt]) -> str:
    served = [attempt.done is not None for attempt in attempts]
    return f"{statistics.mean(served):.1%}" if served else "-"


def _ms(ordered: list[float], quantile: float) -> str:
    return f"{ordered[int(quantile * (len(ordered) - 1))] * 1000:.1f} ms" if ordered else "-"
