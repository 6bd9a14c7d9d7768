"""Many streams at once through one gateway, each compared with the one right answer, and what the gateway then keeps.

    python -m loadtests.streams --streams 1000 --seconds 60

Exits with 1 where an event was lost, reordered, crossed or wrong, or where the gateway does not come to rest: idle is
what a gateway is that has served a few streams and has nothing open. What code takes as it runs for the first time
(its pages, what it makes once) is no burst's; the table has the RSS before those streams, too.
"""

import argparse
import contextlib
import sys
from dataclasses import dataclass, replace

from loadtests.held import Held, at_rest, peak, settled
from loadtests.processes import Cores, allow_files, gateway, mock_engine, pinned
from loadtests.streaming import Shape, Streamed, load
from loadtests.wire import BrokenAnswer

MOST = 300
"""MiB that a gateway may have resident at the peak."""
SLACK = 1.1
"""How much of what it had resident at rest it may keep."""
FEW = 16
"""Streams at once that it serves first: fewer than what it takes for a burst."""


@dataclass(frozen=True, slots=True)
class Endurance:
    found: Streamed
    started: Held
    """Before any request."""
    idle: Held
    after: Held
    peak: float
    """MiB."""


def endure(shape: Shape, seconds: float) -> Endurance:
    """Raises BrokenAnswer."""
    allow_files(4 * shape.streams + 256)
    cores = Cores.divided()
    with contextlib.ExitStack() as stack:
        with pinned(cores.load):
            engine = stack.enter_context(mock_engine(shape.tokens, shape.pace))
        with pinned(cores.target):
            made = stack.enter_context(gateway(engine.ports, "loadtests.observed"))
        stack.enter_context(pinned(cores.load))
        started = at_rest(made)
        load(made.port, replace(shape, streams=FEW), 0)
        idle = settled(made, started)
        found = load(made.port, shape, seconds)
        after = settled(made, idle, seconds=30, most=SLACK * idle.resident)
        return Endurance(found, started, idle, after, peak(made))


def main() -> None:
    parser = argparse.ArgumentParser(description="Many streams at once through one gateway.")
    parser.add_argument("--streams", type=int, default=1000, help="at once")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--tokens", type=int, default=64, help="of one stream")
    parser.add_argument("--pace", type=float, default=0.05, help="seconds between two tokens of one stream")
    arguments = parser.parse_args()
    try:
        came = endure(Shape(arguments.streams, arguments.tokens, arguments.pace), arguments.seconds)
    except BrokenAnswer as error:
        sys.exit(f"streams: a wrong answer: {error}")
    started, idle, after = came.started, came.idle, came.after
    print(f"{came.found.answers} streams, {arguments.streams} at once: every event in its place")
    print("| | RSS MiB | files | tasks |\n|---|---|---|---|")
    print(f"| started | {started.resident:.1f} | {started.files} | {started.tasks} |")
    print(f"| idle | {idle.resident:.1f} | {idle.files} | {idle.tasks} |")
    print(f"| peak | {came.peak:.1f} | | |")
    print(f"| afterwards | {after.resident:.1f} | {after.files} | {after.tasks} |")
    kept = after.left_over(idle)
    if came.peak > MOST or after.resident > SLACK * idle.resident:
        kept.append(f"{after.resident:.0f} MiB, {came.peak:.0f} at the peak")
    if kept:
        sys.exit(f"streams: not let go of: {', '.join(kept)}")


if __name__ == "__main__":
    main()
