"""Whether memory and time series stay flat: many requests, cancelled streams, invented names and paths.

python -m loadtests.memory --requests 100000 --cancelled 10000 --names 10000
"""

import argparse
import asyncio
from collections.abc import Awaitable, Callable

import uvloop

from loadtests.clients import Client
from loadtests.processes import KEY, MODEL, Bench, bench

WHOLE: dict[str, object] = {"model": MODEL, "messages": []}
STREAM: dict[str, object] = {**WHOLE, "stream": True}


async def spread(total: int, workers: int, one: Callable[[Client, int], Awaitable[None]], url: str) -> None:
    """`total` calls of `one` over `workers` connections."""
    numbers = iter(range(total))

    async def work() -> None:
        client = Client(url, KEY)
        for number in numbers:
            await one(client, number)
        client.close()

    await asyncio.gather(*(work() for _ in range(workers)))


async def whole(client: Client, _: int) -> None:
    await client.unstreamed(WHOLE)


async def cancelled(client: Client, _: int) -> None:
    await client.leave_after(STREAM, 0.02)


async def invented_model(client: Client, number: int) -> None:
    await client.unstreamed({"model": f"no-such-model-{number}", "messages": []})


async def invented_path(client: Client, number: int) -> None:
    await client.unstreamed(WHOLE, f"/no/such/path/{number}")


def series(made: Bench) -> int:
    return sum(not line.startswith("#") for line in made.metrics().splitlines())


def run(made: Bench, arguments: argparse.Namespace) -> None:
    print("| after | RSS MiB | time series |\n|---|---|---|")

    def row(name: str) -> None:
        print(f"| {name} | {made.rss():.1f} | {series(made)} |", flush=True)

    for name, total, one, parts in (
        ("unstreamed requests", arguments.requests, whole, 5),
        ("cancelled streams", arguments.cancelled, cancelled, 5),
        ("invented model names", arguments.names, invented_model, 2),
        ("invented paths", arguments.names, invented_path, 2),
    ):
        uvloop.run(spread(max(100, total // 100), 32, one, made.gateway))
        row(f"{name}: warm")
        for part in range(1, parts + 1):
            uvloop.run(spread(total // parts, 32, one, made.gateway))
            row(f"{total * part // parts} {name}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Memory and time series of the gateway over many requests.")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--cancelled", type=int, default=10_000)
    parser.add_argument("--names", type=int, default=10_000, help="invented model names, and as many invented paths")
    arguments = parser.parse_args()
    with bench(tokens=64, pace=0.01) as made:
        run(made, arguments)


if __name__ == "__main__":
    main()
