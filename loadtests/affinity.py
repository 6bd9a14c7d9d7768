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
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import httpx
import yaml

from services.gateway.registry import Weights

KEY, MODEL = "sk-loadtest", "smollm2-135m-instruct"
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
def process(module: str, variables: dict[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", module]
    started = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL, stdout=sys.stderr)
    try:
        yield
    finally:
        started.terminate()
        started.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def engine() -> Iterator[str]:
    port = free_port()
    variables = {
        "NARU_LLM__PORT": str(port), "NARU_LLM__EXTRA_ARGS": json.dumps(["--num-gpu-blocks-override", str(BLOCKS)]),
        "NARU_LLM__MAX_MODEL_LEN": "2048", "OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }  # fmt: skip
    with process("services.llm", variables):
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def gateway(engines: list[str], weights: Weights, folder: Path) -> Iterator[str]:
    port, admin, grpc = free_port(), free_port(), free_port()
    registry = folder / f"{port}.yaml"
    routing = {"weights": weights.model_dump()}
    model = {"task": "chat", "versions": {"v1": {"endpoints": engines}}, "routing": routing}
    registry.write_text(yaml.safe_dump({"models": {MODEL: model}}))
    variables = {
        "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(registry), "NARU_GATEWAY__HTTP__PORT": str(port),
        "NARU_GATEWAY__ADMIN__PORT": str(admin), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__LOG_LEVEL": "ERROR",
    }  # fmt: skip
    with process("services.gateway", variables):
        until_ready(f"http://127.0.0.1:{admin}/readyz")
        yield f"http://127.0.0.1:{port}"


def until_ready(url: str, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        time.sleep(0.2)
    raise TimeoutError(f"{url} did not become ready")


def cache_counts(engines: list[str]) -> tuple[float, float]:
    """Prompt tokens found in the engines' prefix caches, and looked for, since they started."""
    lines = [line.split(" ") for url in engines for line in httpx.get(f"{url}/metrics").text.splitlines()]
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


async def spoken(client: httpx.AsyncClient, bodies: list[dict[str, object]], clients: int) -> list[float]:
    """Seconds to the first content of each answer, `clients` of them asked for at a time."""
    waiting = iter(bodies)

    async def work() -> list[float]:
        return [await first_content(client, body) for body in waiting]

    found = await asyncio.gather(*(work() for _ in range(clients)))
    return [seconds for some in found for seconds in some]


async def first_content(client: httpx.AsyncClient, body: dict[str, object]) -> float:
    began, first = perf_counter(), 0.0
    async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
        answer.raise_for_status()
        async for line in answer.aiter_lines():
            if not first and line.startswith("data: {"):
                choices = json.loads(line[6:])["choices"]
                first = perf_counter() if choices and choices[0]["delta"].get("content") else 0.0
    return first - began


async def round_of(url: str, arguments: argparse.Namespace, draw: random.Random) -> list[float]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=120) as client:
        first, *later = conversations(arguments, draw)
        await spoken(client, first, arguments.clients)
        return [ttft for bodies in later for ttft in await spoken(client, bodies, arguments.clients)]


def measure(arguments: argparse.Namespace) -> dict[str, Found]:
    results = {name: Found() for name in POLICIES}
    draw = random.Random(1)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engines = [stack.enter_context(engine()) for _ in range(2)]
        for url in engines:
            until_ready(f"{url}/health")
        gateways = {name: stack.enter_context(gateway(engines, POLICIES[name], folder)) for name in POLICIES}
        for _ in range(arguments.rounds):
            for name, found in results.items():
                hits, queries = cache_counts(engines)
                found.ttft += asyncio.run(round_of(gateways[name], arguments, draw))
                now_hits, now_queries = cache_counts(engines)
                found.hits, found.queries = found.hits + now_hits - hits, found.queries + now_queries - queries
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
