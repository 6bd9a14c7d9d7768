"""The LLM dashboard's p50 and p99 are what a load generator clocks itself: this one's, and vLLM's own."""

import asyncio
import json
import os
import subprocess
import sys
import time
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from loadtests.agreement import VLLM_BENCH
from services.gateway.metrics import TPOT_BUCKETS, TTFT_BUCKETS
from tests.observability.boards import PANELS
from tests.stack.conftest import KEY, MODEL, Stack
from tests.support.prometheus import Prometheus, Target, needs_prometheus, prometheus

pytestmark = [pytest.mark.stack, needs_prometheus, pytest.mark.timeout(420)]

REQUESTS, TOKENS, AT_ONCE = 16, 16, 2


@dataclass(frozen=True)
class Times:
    """Seconds: the median and the 99th percentile."""

    ttft: tuple[float, float]
    tpot: tuple[float, float]

    def row(self, name: str) -> str:
        return f"| {name} | " + " | ".join(f"{1000 * value:.1f}" for value in (*self.ttft, *self.tpot)) + " |"


def percentiles(values: Sequence[float]) -> tuple[float, float]:
    """The least value that at least this share of all does not exceed, as a histogram has it."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2], ordered[-(len(ordered) // 100) - 1]


async def stream(client: httpx.AsyncClient, url: str, turn: int) -> tuple[float, float]:
    """TTFT and TPOT by this process' clock."""
    body = {
        "model": MODEL, "max_tokens": TOKENS, "ignore_eos": True, "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "user", "content": f"Tell me fact {turn} about ferries."}],
    }  # fmt: skip
    began, arrivals, tokens = time.perf_counter(), [], 0
    async with client.stream("POST", url, json=body, headers={"authorization": f"Bearer {KEY}"}) as answer:
        async for line in answer.aiter_lines():
            if '"content":"' in line and '"content":""' not in line:
                arrivals.append(time.perf_counter())
            elif '"usage":{' in line:
                tokens = json.loads(line.removeprefix("data: "))["usage"]["completion_tokens"]
    return arrivals[0] - began, (arrivals[-1] - arrivals[0]) / (tokens - 1)


async def own(stack: Stack) -> Times:
    turns = iter(range(REQUESTS))
    found: list[tuple[float, float]] = []

    async def user(client: httpx.AsyncClient) -> None:
        found.extend([await stream(client, f"{stack.gateway}/v1/chat/completions", turn) for turn in turns])

    async with httpx.AsyncClient(timeout=120) as client:
        await asyncio.gather(*(user(client) for _ in range(AT_ONCE)))
    ttft, tpot = zip(*found, strict=True)
    return Times(percentiles(ttft), percentiles(tpot))


def vllm_bench(stack: Stack, folder: Path) -> Times:
    tokenizer = httpx.get(f"{stack.llm}/v1/models").json()["data"][0]["root"]
    options = [
        "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", stack.gateway,
        "--model", MODEL, "--tokenizer", tokenizer, "--dataset-name", "random", "--random-input-len", "32",
        "--random-output-len", str(TOKENS), "--num-prompts", str(REQUESTS), "--max-concurrency", str(AT_ONCE),
        "--ignore-eos", "--ready-check-timeout-sec", "0", "--disable-tqdm", "--percentile-metrics", "ttft,tpot",
        "--metric-percentiles", "50,99", "--save-result", "--save-detailed", "--result-dir", str(folder),
        "--result-filename", "vllm.json",
    ]  # fmt: skip
    environment = {**os.environ, "OPENAI_API_KEY": KEY, "VLLM_TARGET_DEVICE": "cpu"}
    ran = subprocess.run(
        [sys.executable, "-c", VLLM_BENCH, *options], env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    found = json.loads((folder / "vllm.json").read_text())
    assert found["completed"] == REQUESTS
    rests = zip(found["itls"], found["output_lens"], strict=True)
    each = {"ttft": found["ttfts"], "tpot": [sum(gaps) / (tokens - 1) for gaps, tokens in rests]}
    for name, values in each.items():
        ordered = sorted(values)
        for share in (50, 99):  # what it prints lies between two of its requests: a histogram knows the requests alone
            below = (len(ordered) - 1) * share // 100
            printed = found[f"p{share}_{name}_ms"] / 1000
            assert ordered[below] - 1e-6 <= printed <= ordered[below + 1] + 1e-6, (name, share)
    return Times(percentiles(each["ttft"]), percentiles(each["tpot"]))


async def shown(server: Prometheus, began: float) -> Times:
    """What the dashboard's own queries say of the requests since then."""
    await asyncio.sleep(2.5)
    window = f"{round(time.time() - began)}s"

    async def panel(title: str) -> tuple[float, float]:
        (found,) = (each for each in PANELS if each.id == f"naru-llm: {title}" and each.data["type"] == "timeseries")
        values = []
        for query in (found.queries[0], found.queries[2]):
            text = query.replace("$__rate_interval", window).replace("$model", MODEL)
            ((_, value),) = await server.query(text.replace("$namespace", ".*").replace("$version", ".*"))
            values.append(value)
        return values[0], values[1]

    return Times(await panel("Time to first token, client's edge"), await panel("Time per output token, client's edge"))


def widths(value: float, bounds: Sequence[float]) -> float:
    """Of the bucket that holds it."""
    index = bisect_left(bounds, value)
    assert index < len(bounds), "beyond the last bucket"
    return bounds[index] - (bounds[index - 1] if index else 0.0)


def agree(clocked: Times, said: Times) -> None:
    for values, others, bounds in ((clocked.ttft, said.ttft, TTFT_BUCKETS), (clocked.tpot, said.tpot, TPOT_BUCKETS)):
        for value, other in zip(values, others, strict=True):
            assert abs(value - other) <= max(widths(value, bounds), widths(other, bounds)), (clocked, said)


async def test_the_dashboard_says_what_was_clocked(
    stack: Stack, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = []
    async with prometheus(tmp_path, [Target(stack.admin.removeprefix("http://"), "gateway")]) as server:
        async with httpx.AsyncClient(timeout=120) as client:
            await stream(client, f"{stack.gateway}/v1/chat/completions", 0)
        for name in ("this client's clock", "`vllm bench serve`"):
            await asyncio.sleep(2.5)
            began = time.time()
            clocked = await (asyncio.to_thread(vllm_bench, stack, tmp_path) if "vllm" in name else own(stack))
            said = await shown(server, began)
            rows += [clocked.row(name), said.row("the dashboard, same requests")]
            agree(clocked, said)
        with capsys.disabled():
            print("\n| ms | TTFT p50 | TTFT p99 | TPOT p50 | TPOT p99 |\n|---|---|---|---|---|", *rows, sep="\n")
