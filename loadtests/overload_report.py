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
RETURNED = 0.995
"""Share of the requests that came back as told and were served."""


SHOWN = 5
"""Of the returns that were refused again, so many of each class."""


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


def fair_shares(
    total: float, demands: Mapping[str, float], weights: Mapping[str, float], had: Mapping[str, float] | None = None
) -> dict[str, float]:
    """Weighted max-min fairness: nobody gets more than it asks for, and what is left goes to the others by weight.

    `had`: what each has already, which counts towards its share.
    """
    before = had or {}

    def given(level: float) -> dict[str, float]:
        return {
            name: min(demand, max(0.0, level * weights[name] - before.get(name, 0.0)))
            for name, demand in demands.items()
        }

    low, high = 0.0, max((demand + before.get(name, 0.0)) / weights[name] for name, demand in demands.items())
    for _ in range(100):  # halves of it: far below a millionth of a request
        middle = (low + high) / 2
        low, high = (low, middle) if sum(given(middle).values()) > total else (middle, high)
    return given(high)


@dataclass(slots=True)
class Standing:
    """What one tenant got of all classes."""

    served: list[int] = field(default_factory=list)
    """By class."""
    fair: float = 0.0
    """As near to its share by weight as the order of the classes allows."""


def standings(found: Found, weights: Mapping[str, float]) -> dict[str, Standing]:
    """By tenant. What a class was served is shared so that all that a tenant has, of this class and of more urgent
    ones, is as near to its share by weight as can be."""
    made = {tenant: Standing() for tenant in weights}
    for priority in Priority:
        demands = {tenant: float(len(found.of(priority, tenant))) for tenant in weights}
        had = {tenant: one.fair for tenant, one in made.items()}
        fair = fair_shares(found.served(priority), demands, weights, had)
        for tenant, one in made.items():
            one.served.append(found.served(priority, tenant))
            one.fair += fair[tenant]
    return made


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
    _print_tenants(over, weights)
    took = sorted(over.at_once())
    print(f"\nrefused at once: {len(took)}, p50 {_ms(took, 0.5)}, p99 {_ms(took, 0.99)}, longest {_ms(took, 1)}\n")
    _print_broken(over)
    broken = list(faults(at_capacity, over, weights))
    print("\n".join(broken) or "all that is demanded holds")
    return not broken


def _print_tenants(over: Found, weights: Mapping[str, float]) -> None:
    found = standings(over, weights)
    asked = {tenant: float(sum(len(over.of(priority, tenant)) for priority in Priority)) for tenant in weights}
    alone = fair_shares(sum(sum(one.served) for one in found.values()), asked, weights)
    print(f"\n| tenant | weight | {' | '.join(Priority)} | in all | share in this order | of it | of it by weight |")
    print("|---" * (len(Priority) + 6) + "|")
    for tenant, one in found.items():
        total = sum(one.served)
        print(
            f"| {tenant} | {weights[tenant]} | {' | '.join(map(str, one.served))} | {total} "
            f"| {one.fair:.0f} | {total / one.fair:.0%} | {total / alone[tenant]:.0%} |"
        )


def _print_broken(over: Found) -> None:
    """Returns that were refused again, some of each class: when they were told what, and why."""
    for priority in Priority:
        broken = [one for one in over.of(priority) if len(one.attempts) > 1 and one.attempts[1].done is None]
        for one in broken[:SHOWN]:
            first, again = one.attempts
            after = first.answered - over.began
            print(f"{priority}, {one.tenant}: told {first.retry_after} s after {after:.1f} s; then: {again.why}")


def faults(at_capacity: Found, over: Found, weights: Mapping[str, float]) -> Iterator[str]:
    """What does not hold of what is demanded."""
    first = next(iter(Priority))
    if over.level(first) < LEVEL * at_capacity.level(first):
        yield f"{first}: {over.level(first):.1%} served under overload, {at_capacity.level(first):.1%} at capacity"
    refused = [over.refused(priority) / len(over.of(priority)) for priority in Priority]
    if any(less < more - ALIKE for more, less in pairwise(refused)):
        yield "a more urgent class was refused more often than a less urgent one"
    for tenant, one in standings(over, weights).items():
        if sum(one.served) < FAIR * one.fair:
            yield f"tenant {tenant} got {sum(one.served) / one.fair:.0%} of its share"
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
