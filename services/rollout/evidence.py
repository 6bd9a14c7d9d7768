"""What a tally says of some versions: how many of their requests failed, were refused, were given up, were slow."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from services.common.errors import Draining, NaruError
from services.rollout.look import MIGRATIONS, REQUESTS, RETRIES, TPOT, TTFT
from services.rollout.tally import Tally


def _kinds(kind: type[NaruError]) -> Iterator[type[NaruError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _kinds(child)


FAILURES = frozenset(kind.reason for kind in _kinds(NaruError) if kind.http_status >= 500) - {Draining.reason}
"""Outcomes that are a version's fault; a gateway that stops is not."""
REFUSALS = frozenset({"engine_refused"})
GIVEN_UP = frozenset({"client_cancelled", "deadline_exceeded"})
BUSY = "429"
"""The reason of a retry for which the engine had no room."""
_MOVED = "continued"


@dataclass(frozen=True, slots=True)
class Share:
    """`count` out of `of`, and at most `maybe`: an objective may lie between two bounds of a histogram."""

    count: int
    of: int
    maybe: int

    @classmethod
    def exactly(cls, count: int, of: int) -> "Share":
        return cls(count, of, count)

    @property
    def value(self) -> float:
        return self.count / self.of if self.of else 0.0


class Histogram:
    """Cumulative counts by upper bound."""

    def __init__(self, buckets: Mapping[str, int]) -> None:
        self._counts = dict(sorted((float(bound), count) for bound, count in buckets.items()))
        self.total = self._counts.get(float("inf"), 0)

    def slower(self, threshold: float) -> Share:
        surely = next((count for bound, count in self._counts.items() if bound >= threshold), self.total)
        maybe = next((count for bound, count in reversed(self._counts.items()) if bound <= threshold), 0)
        return Share(self.total - surely, self.total, self.total - maybe)

    def quantile(self, share: float) -> float:
        """The least bound that this share of what was observed does not exceed; infinite without any."""
        wanted = share * self.total
        return next((bound for bound, count in self._counts.items() if self.total and count >= wanted), float("inf"))


@dataclass(frozen=True)
class Evidence:
    """Of the requests that one or more versions had."""

    requests: int
    failed: Share
    refused: Share
    given_up: Share
    ttft: Histogram
    tpot: Histogram


def evidence(tally: Tally, counted: Callable[[str], bool]) -> Evidence:
    """A request that another version answered, because this one failed, is one of this version's: it failed."""
    outcomes = tally.sums(REQUESTS, counted)
    retries = tally.sums(RETRIES, counted)
    moved = tally.sums(MIGRATIONS, counted).get(_MOVED, 0)
    answered, retried = sum(outcomes.values()), sum(retries.values())
    busy, requests = retries.get(BUSY, 0), answered + retried + moved

    def of(kinds: frozenset[str]) -> int:
        return sum(count for outcome, count in outcomes.items() if outcome in kinds)

    return Evidence(
        requests=requests,
        failed=Share.exactly(of(FAILURES) + retried - busy + moved, requests),
        refused=Share.exactly(of(REFUSALS) + busy, requests),
        given_up=Share.exactly(of(GIVEN_UP), requests),
        ttft=Histogram(tally.sums(TTFT, counted)),
        tpot=Histogram(tally.sums(TPOT, counted)),
    )
