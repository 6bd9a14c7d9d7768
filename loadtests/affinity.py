"""What prefix affinity is worth: two real vLLM engines, whose prefix caches together hold what neither holds alone.

    python -m loadtests.affinity

Some conversations go on side by side, each with instructions of its own that every turn repeats. Two gateways stand in
front of the same engines: one picks by load alone, the other as configured by default. They take turns, each round with
conversations that no engine has seen, so both meet the same machine. Needs what `make up` installs, and no running
stack.
"""

import argparse
import asyncio
import contextlib
import json
import random
import statistics
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial

from loadtests.clients import Client
from loadtests.processes import gateway, get, process, until
from loadtests.wire import KEY
from services.gateway.registry import Weights
from tests.support.ports import free_ports

MODEL = "smollm2-135m-instruct"
BLOCKS = 24
"""KV blocks of an engine, of 128 tokens each: the conversations' instructions fill more than one engine."""
WORDS = ("ferry", "river", "bank", "boat", "rope", "tide", "lamp", "stone", "bell", "harbour", "willow", "oar", "mist")
POLICIES = {"load alone": Weights(prefix=0), "prefix affinity": Weights()}


@dataclass
class Found:
    ttft: list[float] = field(default_factory=list)
    """Seconds, of every turn but a conversation's first: that one is new to every engine."""
    hits: float = 0.0
    queries: float = 0.0
    """Tokens of prompts, found in an engine's cache and looked for."""


@contextlib.contextmanager
def engine() -> Iterator[int]:
    """The engine's port."""
    (port,) = free_ports(1)
    variables = {
        "NARU_LLM__PORT": str(port), "NARU_LLM__EXTRA_ARGS": json.dumps(["--num-gpu-blocks-override", str(BLOCKS)]),
        "NARU_LLM__MAX_MODEL_LEN": "2048", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }  # fmt: skip
    with process([sys.executable, "-m", "services.llm"], variables):
        yield port


def answers(port: int) -> bool:
    get(port, "/health")
    return True


def cache_counts(engines: list[int]) -> tuple[float, float]:
    """Prompt tokens found in the engines' prefix caches, and looked for, since they started."""
    lines = [line.split(" ") for port in engines for line in get(port, "/metrics").splitlines()]
    found = [
        sum(float(line[-1]) for line in lines if line[0].startswith(f"vllm:prefix_cache_{kind}_total"))
        for kind in ("hits", "queries")
    ]
    return found[0], found[1]


def conversations(arguments: argparse.Namespace, draw: random.Random) -> list[list[dict[str, object]]]:
    """The bodies of every turn, in the order they are sent: all first turns, then all second ones, shuffled."""
    instructions = [" ".join(draw.choices(WORDS, k=arguments.words)) for _ in range(arguments.conversations)]
    turns = []
    for turn in range(arguments.turns):
        bodies: list[dict[str, object]] = [
            {
                "messages": [{"role": "system", "content": text}, {"role": "user", "content": f"Question {turn}?"}],
                "model": MODEL, "stream": True, "max_tokens": 4, "temperature": 0,
            } for text in instructions
        ]  # fmt: skip
        draw.shuffle(bodies)
        turns.append(bodies)
    return turns


async def round_of(url: str, arguments: argparse.Namespace, draw: random.Random) -> list[float]:
    """Seconds to the first content of every turn but the first."""
    clients = [Client(url, KEY) for _ in range(arguments.clients)]
    first, *later = conversations(arguments, draw)
    await spoken(clients, first)
    found = [ttft for bodies in later for ttft in await spoken(clients, bodies)]
    for client in clients:
        client.close()
    return found


async def spoken(clients: list[Client], bodies: list[dict[str, object]]) -> list[float]:
    """Every client takes the next body as soon as it has its answer."""
    waiting = iter(bodies)

    async def work(client: Client) -> list[float]:
        return [(await client.stream(body)).ttft for body in waiting]

    found = await asyncio.gather(*map(work, clients))
    return [seconds for some in found for seconds in some]


def measure(arguments: argparse.Namespace) -> dict[str, Found]:
    results = {name: Found() for name in POLICIES}
    draw = random.Random(1)
    with contextlib.ExitStack() as stack:
        engines = [stack.enter_context(engine()) for _ in range(2)]
        for port in engines:
            until(partial(answers, port), "an engine does not become ready", 600)
        routed = {
            name: stack.enter_context(gateway(engines, name=MODEL, routing={"weights": weights.model_dump()}))
            for name, weights in POLICIES.items()
        }
        for _ in range(arguments.rounds):
            for name, found in results.items():
                before = cache_counts(engines)
                found.ttft += asyncio.run(round_of(f"http://127.0.0.1:{routed[name].port}", arguments, draw))
                after = cache_counts(engines)
                found.hits, found.queries = found.hits + after[0] - before[0], found.queries + after[1] - before[1]
    return results


def report(results: dict[str, Found]) -> None:
    print("| picked by | prompt tokens from the cache | TTFT p50 | TTFT p95 | turns |\n|---|---|---|---|---|")
    for name, found in results.items():
        quantiles = statistics.quantiles(found.ttft, n=20, method="inclusive")
        shares = f"{found.hits / found.queries:.0%} | {quantiles[9]:.2f} s | {quantiles[18]:.2f} s"
        print(f"| {name} | {shares} | {len(found.ttft)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Prefix affinity against load alone, on two real vLLM engines.")
    parser.add_argument("--conversations", type=int, default=8)
    parser.add_argument("--turns", type=int, default=4, help="of each conversation; the first is not timed")
    parser.add_argument("--words", type=int, default=400, help="of a conversation's instructions")
    parser.add_argument("--clients", type=int, default=2, help="requests at a time")
    parser.add_argument("--rounds", type=int, default=2, help="each with both gateways")
    report(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
