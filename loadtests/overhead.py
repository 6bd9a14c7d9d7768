"""What the gateway adds to a streamed answer: the same load against the engine directly and through the gateway.

    python -m loadtests.overhead                        # a mock engine of its own
    python -m loadtests.overhead --engine http://127.0.0.1:8100 --gateway http://127.0.0.1:8080 \\
        --model smollm2-135m-instruct --key "$NARU_API_KEY"

Requests alternate between the two targets, so that a machine whose speed drifts treats both alike. Every client waits
a random part of `--think` before each request: clients that start in step would measure their own queue.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
from collections.abc import Iterator

import uvloop

from loadtests.clients import Client, Timing
from loadtests.processes import KEY, MODEL, bench


async def measure(targets: dict[str, str], arguments: argparse.Namespace) -> dict[str, list[Timing]]:
    found: dict[str, list[Timing]] = {name: [] for name in targets}
    body: dict[str, object] = {
        "model": arguments.model, "stream": True, "max_tokens": arguments.max_tokens, "temperature": 0,
        "messages": [{"role": "user", "content": "Say something about ferries."}],
    }  # fmt: skip
    for turn in range(arguments.rounds + 1):
        for name, url in targets.items():
            answers = await asyncio.gather(*(one_client(url, body, arguments) for _ in range(arguments.streams)))
            if turn:  # the first round warms up
                found[name] += [timing for timings in answers for timing in timings]
    return found


async def one_client(url: str, body: dict[str, object], arguments: argparse.Namespace) -> list[Timing]:
    client = Client(url, arguments.key)
    timings = []
    for _ in range(arguments.repeat):
        await asyncio.sleep(random.uniform(0, arguments.think))
        timings.append(await client.stream(body))
    client.close()
    return timings


def milliseconds(values: list[float], quantile: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[quantile - 1] * 1000


def report(found: dict[str, list[Timing]], streams: int) -> None:
    print(f"{streams} concurrent streams, {len(found['direct'])} answers each, milliseconds")
    print("| | TTFT p50 | TTFT p99 | total p50 | total p99 |\n|---|---|---|---|---|")
    rows = {}
    for name, timings in found.items():
        ttft, total = [t.ttft for t in timings], [t.total for t in timings]
        rows[name] = [milliseconds(v, q) for v in (ttft, total) for q in (50, 99)]
        print(f"| {name} | " + " | ".join(f"{value:.3f}" for value in rows[name]) + " |")
    added = [through - direct for direct, through in zip(rows["direct"], rows["gateway"], strict=True)]
    print("| added | " + " | ".join(f"{value:+.3f}" for value in added) + " |")


@contextlib.contextmanager
def targets(arguments: argparse.Namespace) -> Iterator[dict[str, str]]:
    if arguments.engine:
        yield {"direct": arguments.engine, "gateway": arguments.gateway}
        return
    with bench(arguments.tokens, arguments.pace, pin=True) as made:
        yield {"direct": made.engine, "gateway": made.gateway}


def main() -> None:
    parser = argparse.ArgumentParser(description="Added TTFT of the gateway, against the engine directly.")
    parser.add_argument("--streams", type=int, default=8, help="concurrent streams")
    parser.add_argument("--rounds", type=int, default=10, help="rounds, each against both targets")
    parser.add_argument("--repeat", type=int, default=5, help="answers per stream and round")
    parser.add_argument("--tokens", type=int, default=32, help="tokens of a mock answer")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between two mock tokens")
    parser.add_argument("--think", type=float, default=0.1, help="seconds a client waits at most between two requests")
    parser.add_argument("--engine", help="a running engine's address; a mock where left out")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080", help="the gateway in front of --engine")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--key", default=KEY)
    parser.add_argument("--max-tokens", type=int, default=32)
    arguments = parser.parse_args()
    with targets(arguments) as found:
        report(uvloop.run(measure(found, arguments)), arguments.streams)


if __name__ == "__main__":
    main()
