"""Find the knee: the most users for whom a model's objectives still hold, and the goodput they get."""

from collections.abc import Callable
from dataclasses import dataclass, field

from loadtests.load.slo import Verdict
from loadtests.load.totals import Totals

LEAST = 20
"""Answers that a level is judged by, at least."""
PATIENCE = 10
"""Times its dwell that a level may take before it is judged by what there is."""


@dataclass(slots=True)
class Search:
    """Doubles until a level fails, then halves the distance until it is within `precision` of the level that holds."""

    level: int
    most: int
    precision: float = 0.05
    held: int = 0
    failed: int | None = None

    def tell(self, *, holds: bool) -> None:
        if holds:
            self.held = self.level
        else:
            self.failed = self.level
        self.level = min(self.most, 2 * self.held) if self.failed is None else (self.held + self.failed) // 2

    @property
    def done(self) -> bool:
        if self.failed is None:
            return self.held >= self.most
        return self.failed - self.held <= max(1, self.precision * self.held)


@dataclass(frozen=True, slots=True)
class Level:
    users: int
    holds: bool
    why: str
    """What broke first."""
    goodput: float
    """Answers a second that met every objective."""
    tokens: float
    """A second."""
    ttft: float | None
    tpot: float | None
    """Seconds, at the quantile that is judged."""


@dataclass(slots=True)
class Knee:
    """Told the time and the totals once a second; says how many users there should be.

    A level is judged by what begins once it has settled: every user has finished what it began before.
    """

    search: Search
    dwell: float
    """Seconds that a level is measured."""
    judge: Callable[[Totals], Verdict]
    levels: list[Level] = field(default_factory=list)
    _began: float | None = None
    _start: Totals = field(default_factory=Totals)
    _settled: float | None = None
    _base: Totals = field(default_factory=Totals)

    @property
    def users(self) -> int | None:
        """None once it is found."""
        return None if self.search.done else self.search.level

    def tick(self, now: float, running: int, totals: Totals) -> None:
        if self.search.done or running != self.search.level:
            self._began = None
            return
        if self._began is None:
            self._began, self._settled, self._start = now, None, totals.copy()
        elif self._settled is None:
            turned = totals.finished - self._start.finished >= running
            if (turned and now - self._began >= self.dwell / 2) or now - self._began > PATIENCE * self.dwell:
                self._settled, self._base = now, totals.copy()
        else:
            self._measure(now - self._settled, totals.since(self._base))

    def _measure(self, seconds: float, found: Totals) -> None:
        enough = found.finished >= max(LEAST, 2 * self.search.level)
        if seconds < self.dwell or (not enough and seconds < PATIENCE * self.dwell):
            return
        verdict = self.judge(found)
        self.levels.append(
            Level(
                self.search.level, verdict.holds, "; ".join(verdict.broken), found.good / seconds,
                found.tokens / seconds, verdict.ttft, verdict.tpot,
            )
        )  # fmt: skip
        self.search.tell(holds=verdict.holds)
        self._began = None

    @property
    def best(self) -> Level | None:
        """The highest level that held."""
        return max((level for level in self.levels if level.holds), key=lambda level: level.users, default=None)
