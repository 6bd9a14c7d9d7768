"""Whether the generator itself was the bottleneck: a clock that is late here makes every server look slow."""

import time
from dataclasses import dataclass, field

import gevent

BEAT = 0.01
"""Seconds between two beats."""
LATE = 0.02
"""Seconds a beat may be late, at p99 of a second, before the second's figures are the generator's own."""
BUSY = 0.95
"""Of one core."""
TOLERATED = 0.05
"""Share of the seconds that may be so before the run is not to be trusted."""


@dataclass(frozen=True, slots=True)
class Second:
    late: float
    """Seconds that a beat came late, at p99."""
    busy: float
    """Processor time of this process, of one core."""

    @property
    def strained(self) -> bool:
        return self.late > LATE or self.busy > BUSY


@dataclass(slots=True)
class Pulse:
    """Beats beside the load in the same event loop, and so is as late as whatever the load wants to do."""

    seconds: list[Second] = field(default_factory=list)
    _lates: list[float] = field(default_factory=list)
    _cpu: float = field(default_factory=time.process_time)
    _wall: float = field(default_factory=time.perf_counter)

    def beat(self) -> None:
        """For ever."""
        while True:
            due = time.perf_counter() + BEAT
            gevent.sleep(BEAT)
            self._lates.append(time.perf_counter() - due)

    def count(self) -> Second:
        """Close a second."""
        cpu, wall = time.process_time(), time.perf_counter()
        lates = sorted(self._lates) or [0.0]
        made = Second(lates[int(0.99 * (len(lates) - 1))], (cpu - self._cpu) / max(wall - self._wall, 1e-9))
        self._lates, self._cpu, self._wall = [], cpu, wall
        self.seconds.append(made)
        return made

    @property
    def bottleneck(self) -> bool:
        strained = sum(second.strained for second in self.seconds)
        return strained > max(1, TOLERATED * len(self.seconds))

    def verdict(self) -> str:
        if not self.seconds:
            return "the generator was not watched"
        lates = sorted(second.late for second in self.seconds)
        busy = sum(second.busy for second in self.seconds) / len(self.seconds)
        figures = (
            f"{busy:.0%} of a core, late by {lates[int(0.95 * (len(lates) - 1))] * 1000:.1f} ms at p99 of a second"
        )
        if not self.bottleneck:
            return f"the generator kept up: {figures}"
        strained = sum(second.strained for second in self.seconds)
        cure = "use fewer users, or several generators" if busy > BUSY / 2 else "something else had its processor"
        return (
            f"THE GENERATOR WAS THE BOTTLENECK in {strained} of {len(self.seconds)} s ({figures}): these figures are "
            f"not the server's; {cure}"
        )
