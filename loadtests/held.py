"""What a gateway holds at one moment, and whether it let go of what a load made it take."""

import signal
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path

import psutil

from loadtests.processes import Bench, resident

IN_FLIGHT = ("naru_inflight_requests{", "naru_endpoint_inflight{")


@dataclass(frozen=True, slots=True)
class Held:
    resident: float
    """MiB."""
    files: int
    """Open file descriptors: sockets, mostly."""
    tasks: int
    in_flight: float
    """The sum of the gauges that count running requests."""

    def left_over(self, before: "Held") -> list[str]:
        """What is still held beyond what was held before."""
        names = ("files", "tasks", "in_flight")
        pairs = {name: (getattr(before, name), getattr(self, name)) for name in names}
        return [f"{name}: {now} after, {then} before" for name, (then, now) in pairs.items() if now > then]


def held(made: Bench) -> Held:
    """Of a gateway that runs as `loadtests.observed`."""
    lines = made.metrics().splitlines()
    in_flight = sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(IN_FLIGHT))
    made.process.send_signal(signal.SIGUSR1)
    assert made.process.stdout is not None
    tasks = int(made.process.stdout.readline())
    return Held(resident(made.pid), psutil.Process(made.pid).num_fds(), tasks, in_flight)


def settled(made: Bench, before: Held, seconds: float = 20, most: float = inf) -> Held:
    """Once nothing is left over and at most so many MiB are resident, or after so long: idle connections to an endpoint
    are kept for some seconds, and memory is given back some seconds after a burst."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now = held(made)
        if not now.left_over(before) and now.resident <= most:
            break
        time.sleep(0.25)
    return now


def at_rest(made: Bench, seconds: float = 2) -> Held:
    """The least of several looks: a health check may be running at one."""
    looks = []
    for _ in range(8):
        looks.append(held(made))
        time.sleep(seconds / 8)
    return Held(looks[-1].resident, min(look.files for look in looks), min(look.tasks for look in looks), 0)


def peak(made: Bench) -> float:
    """MiB that were resident at most since the process began (`VmHWM`, proc(5))."""
    lines = Path(f"/proc/{made.pid}/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
