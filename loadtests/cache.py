"""What a hit costs its client, and what a full cache takes of the gateway's memory.

    python -m loadtests.cache --bytes 32 --answers 100000

With `NARU_GATEWAY__CACHE__STORE=redis` and `NARU_GATEWAY__REDIS__URL` the same with Redis. Exits with 1 where the cache
holds more bytes than it may, or the gateway grew by more than that and `SLACK`.
"""

import argparse
import asyncio
import itertools
import statistics
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from time import perf_counter

import uvloop

from loadtests.clients import Client
from loadtests.processes import Bench, Cores, gateway, mock_engine, pinned, resident
from loadtests.wire import KEY, MESSAGES, MODEL

TOKENS = 64
WARM, ASKED = 200, 3000
WARM_UP = 20_000
CLIENTS = 32
SLACK = 8.0
"""MiB that the gateway may grow by beside what it keeps: its caches for connections, and what the allocator holds."""
Body = dict[str, object]
ASK: Body = {"model": MODEL, "messages": MESSAGES, "temperature": 0}


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a request to its answer's last byte, on one connection."""

    median: float
    p99: float

    @classmethod
    def of(cls, seconds: Iterable[float]) -> "Latency":
        cuts = statistics.quantiles(seconds, n=100)
        return cls(1000 * cuts[49], 1000 * cuts[98])


async def latency(one: Callable[[Body], Awaitable[object]], bodies: Iterable[Body]) -> Latency:
    took = []
    for body in bodies:
        began = perf_counter()
        await one(body)
        took.append(perf_counter() - began)
    return Latency.of(took[WARM:])


async def latencies(url: str) -> None:
    client = Client(url, KEY)
    for name, one, extra in (("whole", client.unstreamed, {}), (f"{TOKENS} tokens", client.stream, {"stream": True})):
        fresh: Iterable[Body] = ({**ASK, **extra, "seed": seed} for seed in range(1, WARM + ASKED + 1))
        missed = await latency(one, fresh)
        hit = await latency(one, itertools.repeat({**ASK, **extra, "seed": 1}, WARM + ASKED))
        print(f"| {name} | {missed.median:.3f} | {missed.p99:.3f} | {hit.median:.3f} | {hit.p99:.3f} |")
    client.close()


async def fill(url: str, answers: int, *, kept: bool = True) -> None:
    """Ask for so many different answers that are kept, or that are not."""
    seeds = iter(range(1_000_000, 1_000_000 + answers))

    async def work() -> None:
        client = Client(url, KEY)
        for seed in seeds:
            await client.unstreamed({**ASK, "seed" if kept else "user": seed})
        client.close()

    await asyncio.gather(*(work() for _ in range(CLIENTS)))


def gauge(made: Bench, name: str) -> float:
    lines = made.metrics().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{")), 0.0)


def measured_latency(engines: list[int], cores: Cores) -> None:
    with cached_gateway(engines, cores, "256MiB") as made:
        print("| answer | miss, median | p99 | hit, median | p99 (ms) |\n|---|---|---|---|---|")
        uvloop.run(latencies(made.gateway))


def measured_memory(engines: list[int], cores: Cores, most: int, answers: int) -> bool:
    """Whether the cache and the gateway stayed within `most` MiB."""
    with cached_gateway(engines, cores, f"{most}MiB") as made:
        uvloop.run(fill(made.gateway, WARM_UP, kept=False))  # what any load makes it take
        before = resident(made.pid)
        uvloop.run(fill(made.gateway, answers))
        grown, level = resident(made.pid) - before, gauge(made, "naru_cache_bytes") / 2**20
        entries = gauge(made, "naru_cache_entries")
    print(f"{entries:.0f} answers, {level:.1f} of {most} MiB; the gateway grew by {grown:.1f} MiB")
    return level <= most and grown <= level + SLACK


@contextmanager
def cached_gateway(engines: list[int], cores: Cores, most: str) -> Iterator[Bench]:
    with ExitStack() as stack:
        with pinned(cores.target):
            made = stack.enter_context(gateway(engines, cache={"bytes": most, "ttl": "1h"}))
        yield made


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtests.cache", description=__doc__.partition("\n")[0])
    parser.add_argument("--bytes", type=int, default=32, help="MiB that the cache may hold")
    parser.add_argument("--answers", type=int, default=100_000, help="different answers to fill it with")
    wanted = parser.parse_args()
    cores = Cores.divided()
    with pinned(cores.load), mock_engine(TOKENS, 0.0) as engine:
        measured_latency(engine.ports, cores)
        if not measured_memory(engine.ports, cores, wanted.bytes, wanted.answers):
            sys.exit("more than the bound")


if __name__ == "__main__":
    main()
