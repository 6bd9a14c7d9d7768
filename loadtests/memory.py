"""Whether memory, tasks, sockets and time series stay flat: requests, cancelled streams, invented names and paths.

    python -m loadtests.memory --requests 200000 --cancelled 20000 --names 10000

Exits with 1 where a request is still counted as running at the end, or a task or a socket is left.
"""

import argparse
import asyncio
import contextlib
import random
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field

import uvloop

from loadtests.clients import Client
from loadtests.held import Held, at_rest, settled
from loadtests.mock_engine import Counts
from loadtests.processes import Bench, Cores, gateway, mock_engine, pinned, resident
from loadtests.whole import saturate
from loadtests.wire import KEY, MODEL

WHOLE: dict[str, object] = {"model": MODEL, "messages": []}
STREAM: dict[str, object] = {**WHOLE, "stream": True}
CLIENTS = 32
PATIENCE = 0.1
"""Seconds a client that leaves has waited at most: some go before the first token, some after."""


@dataclass(frozen=True, slots=True)
class Amounts:
    requests: int
    cancelled: int
    names: int
    """Invented model names, and as many invented paths."""
    parts: int = 5
    """Looks at the memory during each kind of load."""


@dataclass(slots=True)
class Soak:
    idle: Held
    after: Held
    engine: Counts
    rows: list[tuple[str, float, frozenset[str]]] = field(default_factory=list)
    """What was done, MiB resident and time series then."""


def spread(total: int, one: Callable[[Client, int], Awaitable[None]], url: str) -> None:
    """`total` calls of `one` over `CLIENTS` connections."""
    numbers = iter(range(total))

    async def work() -> None:
        client = Client(url, KEY)
        for number in numbers:
            await one(client, number)
        client.close()

    async def all_of_them() -> None:
        await asyncio.gather(*(work() for _ in range(CLIENTS)))

    uvloop.run(all_of_them())


async def cancelled(client: Client, _: int) -> None:
    await client.leave_after(STREAM, random.uniform(0, PATIENCE))


async def invented_model(client: Client, number: int) -> None:
    await client.unstreamed({"model": f"no-such-model-{number}", "messages": []})


async def invented_path(client: Client, number: int) -> None:
    await client.unstreamed(WHOLE, f"/no/such/path/{number}")


def loads(made: Bench, amounts: Amounts) -> Iterator[tuple[str, int, Callable[[int], object]]]:
    """Each kind: its name, how many of it, and what does so many."""
    yield "unstreamed requests", amounts.requests, lambda count: saturate(made.port, CLIENTS, requests=count)
    yield "cancelled streams", amounts.cancelled, lambda count: spread(count, cancelled, made.gateway)
    yield "invented model names", amounts.names, lambda count: spread(count, invented_model, made.gateway)
    yield "invented paths", amounts.names, lambda count: spread(count, invented_path, made.gateway)


def series(made: Bench) -> frozenset[str]:
    """By their names and labels."""
    return frozenset(line.rpartition(" ")[0] for line in made.metrics().splitlines() if not line.startswith("#"))


def soak(amounts: Amounts) -> Soak:
    """Raises BrokenAnswer."""
    cores = Cores.divided()
    with contextlib.ExitStack() as stack:
        with pinned(cores.load):
            engine = stack.enter_context(mock_engine(tokens=64, pace=0.01))
        with pinned(cores.target):
            made = stack.enter_context(gateway(engine.ports, "loadtests.observed"))
        stack.enter_context(pinned(cores.load))
        idle = at_rest(made)
        rows = []
        for name, total, load in loads(made, amounts):
            load(max(2 * CLIENTS, total // 100))
            rows.append((f"{name}: warm", resident(made.pid), series(made)))
            for part in range(1, amounts.parts + 1):
                load(total // amounts.parts)
                rows.append((f"{total * part // amounts.parts} {name}", resident(made.pid), series(made)))
        return Soak(idle, settled(made, idle), engine.counts(), rows)


def main() -> None:
    parser = argparse.ArgumentParser(description="What the gateway keeps of many requests.")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--cancelled", type=int, default=20_000)
    parser.add_argument("--names", type=int, default=10_000, help="invented model names, and as many invented paths")
    arguments = parser.parse_args()
    done = soak(Amounts(arguments.requests, arguments.cancelled, arguments.names))
    print("| after | RSS MiB | time series |\n|---|---|---|")
    for name, mebibytes, found in done.rows:
        print(f"| {name} | {mebibytes:.1f} | {len(found)} |")
    print(f"\nfiles {done.after.files} (idle {done.idle.files}), tasks {done.after.tasks} (idle {done.idle.tasks}), "
          f"running requests {done.after.in_flight:.0f}; the engine saw {done.engine.left} clients leave")  # fmt: skip
    if kept := done.after.left_over(done.idle):
        sys.exit(f"memory: not let go of: {', '.join(kept)}")


if __name__ == "__main__":
    main()
