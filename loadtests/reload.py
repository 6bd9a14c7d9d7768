"""The registry changes, again and again, while streams run: none may break, or be of two configurations at once.

    python -m loadtests.reload --reloads 1000 --seconds 100

Two configurations take turns. Versions, endpoints, weights and prices differ, so that every answer tells which one it
is of, twice: by its headers, and by the currency in which it was charged. Beside them models come and go. Exits with 1
where a stream broke or two configurations met in it, or where memory, tasks or sockets were not let go of.
"""

import argparse
import contextlib
import re
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from loadtests.held import Held, at_rest, settled
from loadtests.processes import Bench, Cores, gateway, mock_engine, pinned, resident, until
from loadtests.streaming import Shape, Streamed, load
from loadtests.wire import MODEL, BrokenAnswer

SLACK = 1.1
"""Memory at the end as a share of that after a fifth of the reloads, at most."""
_RELOADS = 'naru_config_reloads_total{file="registry",outcome="ok"} '
_ANSWERED_BY = re.compile(rb"x-naru-version: (\w+)\r\nx-naru-endpoint: [\d.]+:(\d+)\r\n", re.IGNORECASE)
_CHARGED = re.compile(r'^naru_cost_total\{currency="(\w+)",.*version="(\w+)"\} (\S+)$', re.MULTILINE)
"""`prometheus_client` writes labels in the order of their names."""


@dataclass(slots=True)
class Configurations:
    """`odd` and `even`, after the turn that they are written in."""

    ports: list[int]

    def registry(self, turn: int) -> dict[str, Any]:
        name = "odd" if turn % 2 else "even"
        endpoints = [f"http://127.0.0.1:{port}" for port in self.of(name)]
        version = {"endpoints": endpoints, "weight": 1 + turn % 100}
        model = {"task": "chat", "versions": {name: version}, "price": {"request": 1, "currency": name}}
        beside = {f"other-{turn % 7}": {"task": "chat", "versions": {"v1": {"endpoints": endpoints[:1]}}}}
        return {"models": {MODEL: model, **(beside if turn else {})}}

    def of(self, name: str) -> list[int]:
        return self.ports[:1] if name == "even" else self.ports[1:]

    def mixed(self, answer: bytes) -> bool:
        """Whether an answer's head names a version, and an endpoint that another one has."""
        found = _ANSWERED_BY.search(answer)
        return found is None or int(found[2]) not in self.of(found[1].decode())


def charged(page: str) -> Counter[bool]:
    """Answers by whether they were charged by their own configuration."""
    answers: Counter[bool] = Counter()
    for currency, version, value in _CHARGED.findall(page):
        answers[currency == version] += int(float(value))
    return answers


@dataclass(slots=True)
class Reloads:
    """What the thread that writes the registry saw."""

    done: int = 0
    slowest: float = 0.0
    """Seconds from writing the file until it was taken over."""
    rows: list[tuple[int, float]] = field(default_factory=list)
    """Reloads, and MiB resident then."""


def write(path: Path, registry: dict[str, Any]) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(yaml.safe_dump(registry))
    scratch.replace(path)


def taken(made: Bench) -> int:
    """How many reloads the gateway has made."""
    lines = (line for line in made.metrics().splitlines() if line.startswith(_RELOADS))
    return int(float(next(lines, "0").rpartition(" ")[2]))


def reload(made: Bench, registry: dict[str, Any]) -> None:
    """SIGHUP, so that it does not wait for the next look at the file."""
    before = taken(made)
    write(made.registry, registry)
    made.process.send_signal(signal.SIGHUP)
    until(lambda: taken(made) > before, "the registry is not taken over")


def keep_reloading(made: Bench, config: Configurations, reloads: int, seconds: float, seen: Reloads) -> None:
    """So many, spread over this time."""
    began = time.monotonic()
    for turn in range(1, reloads + 1):
        time.sleep(max(0.0, began + seconds * turn / reloads - time.monotonic()))
        written = time.monotonic()
        reload(made, config.registry(turn))
        seen.done, seen.slowest = turn, max(seen.slowest, time.monotonic() - written)
        if turn % max(1, reloads // 10) == 0:
            seen.rows.append((turn, resident(made.pid)))


@dataclass(frozen=True, slots=True)
class Found:
    streamed: Streamed
    reloads: Reloads
    mixed: int
    """Answers whose head names a version of one configuration and an endpoint of the other."""
    charged: Counter[bool]
    """Answers by whether they were charged by their own configuration."""
    idle: Held
    after: Held

    @property
    def kept(self) -> list[str]:
        """What was not let go of."""
        kept, rows = self.after.left_over(self.idle), self.reloads.rows
        if len(rows) >= 10 and rows[-1][1] > SLACK * rows[1][1]:
            kept.append(f"memory: {rows[-1][1]:.1f} MiB, {rows[1][1]:.1f} after {rows[1][0]} reloads")
        return kept


def measure(shape: Shape, reloads: int, seconds: float) -> Found:
    """Raises BrokenAnswer."""
    cores, seen = Cores.divided(), Reloads()
    mixed: Counter[bool] = Counter()
    with contextlib.ExitStack() as stack:
        with pinned(cores.load):
            config = Configurations(stack.enter_context(mock_engine(shape.tokens, shape.pace)).ports)
        with pinned(cores.target):
            made = stack.enter_context(gateway(config.ports[:1], "loadtests.observed"))
        stack.enter_context(pinned(cores.load))
        reload(made, config.registry(0))
        idle = at_rest(made)
        thread = threading.Thread(target=keep_reloading, args=(made, config, reloads, seconds, seen))
        thread.start()
        streamed = load(made.port, shape, seconds, look=lambda answer: mixed.update([config.mixed(answer)]))
        thread.join()
        reload(made, config.registry(0))
        after = settled(made, idle)
        return Found(streamed, seen, mixed[True], charged(made.metrics()), idle, after)


def main() -> None:
    parser = argparse.ArgumentParser(description="The registry changes while streams run.")
    parser.add_argument("--reloads", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=100, help="in which they are made, and streams run")
    parser.add_argument("--streams", type=int, default=50, help="at once")
    arguments = parser.parse_args()
    try:
        found = measure(Shape(arguments.streams, 64, 0.05), arguments.reloads, arguments.seconds)
    except BrokenAnswer as error:
        sys.exit(f"reload: dropped: {error}")
    seen = found.reloads
    print(f"{seen.done} reloads in {arguments.seconds:g} s, the slowest {seen.slowest * 1000:.0f} ms; "
          f"{found.streamed.answers} streams, {arguments.streams} at once")  # fmt: skip
    print(f"dropped streams 0, mixed configurations {found.mixed}, charged by the other one {found.charged[False]}")
    print("| after | RSS MiB |\n|---|---|")
    for reloads, mebibytes in [(0, found.idle.resident), *seen.rows]:
        print(f"| {reloads} reloads | {mebibytes:.1f} |")
    print(f"\nfiles {found.after.files} (idle {found.idle.files}), tasks {found.after.tasks} (idle {found.idle.tasks})")
    if seen.done < arguments.reloads or found.mixed or found.charged[False] or found.kept:
        sys.exit(
            f"reload: {seen.done} reloads, {found.mixed} mixed; not let go of: {', '.join(found.kept) or 'nothing'}"
        )


if __name__ == "__main__":
    main()
