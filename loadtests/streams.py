"""Many streams at once through one gateway, each compared with the one right answer, and what the gateway then keeps.

    python -m loadtests.streams --streams 1000 --seconds 60

Exits with 1 where an event was lost, reordered, crossed or wrong, or where the gateway does not come to rest.
"""

import argparse
import contextlib
import sys
from dataclasses import dataclass

from loadtests.held import Held, at_rest, peak, settled
from loadtests.processes import Cores, allow_files, gateway, mock_engine, pinned
from loadtests.streaming import Shape, Streamed, load
from loadtests.wire import BrokenAnswer

MOST = 300
"""MiB that a gateway may have resident at the peak."""
SLACK = 1.1
"""How much of what it had resident at rest it may keep."""


@dataclass(frozen=True, slots=True)
class Endurance:
    found: Streamed
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
        idle = at_rest(made)
        found = load(made.port, shape, seconds)
        return Endurance(found, idle, settled(made, idle, most=SLACK * idle.resident), peak(made))


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
    idle, after = came.idle, came.after
    print(f"{came.found.answers} streams, {arguments.streams} at once: every event in its place")
    print("| | RSS MiB | files | tasks |\n|---|---|---|---|")
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
