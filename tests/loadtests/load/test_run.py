"""Whole load tests, each with locust in a process of its own, against the real gateway."""

import asyncio
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from loadtests.processes import Bench, gateway, mock_engine
from loadtests.wire import KEY
from tests.support.engine import Received, Wire, delta, engine, usage
from tests.support.gateway import KEY as TEST_KEY
from tests.support.gateway import chat_registry, running
from tests.support.samples import parse

pytestmark = pytest.mark.slow
TOKENS, PACE = 10, 0.02
RUNS = 4
"""Of a load, one of which must have had the cores that it needs."""


@dataclass(frozen=True)
class Done:
    code: int
    output: str
    folder: Path

    @property
    def summary(self) -> Any:
        return json.loads((self.folder / "summary.json").read_text())

    def seconds(self, model: str, kind: str) -> dict[str, float]:
        found: dict[str, float] = self.summary["models"][model]["seconds"][kind]
        return found


def load(folder: Path, *options: str) -> Done:
    command = [sys.executable, "-m", "loadtests.load", "--out", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    return Done(done.returncode, done.stdout + done.stderr, folder)


def against(made: Bench, *options: str) -> tuple[str, ...]:
    where = ("--host", made.gateway, "--grpc", made.grpc, "--key", KEY, "--registry", str(made.registry))
    return (*where, "--think", "0.1", "--mix", "short", *options)


@pytest.fixture(scope="module")
def served() -> Iterator[Bench]:
    with (
        mock_engine(TOKENS, PACE, 1, late=True) as made,
        gateway(made.ports, slo={"ttft": "5s", "tpot": "2s", "availability": 99}) as found,
    ):
        yield found


def compared(served: Bench, folder: Path) -> tuple[Done, list[tuple[float, float]]]:
    """A load, and its mean TTFT and TPOT, each beside the gateway's."""
    before = parse(served.metrics())
    done = load(folder, *against(served, "--load", "steady", "-u", "10", "-t", "4s", "ChatUser"))
    assert done.code in {0, 3}, done.output  # 3: this machine was too busy for its figures to be trusted
    after, means = parse(served.metrics()), []
    for kind, metric in (("TTFT", "time_to_first_token"), ("TPOT", "time_per_output_token")):
        count = after.since(before, f"gen_ai_server_{metric}_seconds_count")
        felt = done.seconds("mock", kind)
        assert felt["count"] == count
        means.append((felt["mean"], after.since(before, f"gen_ai_server_{metric}_seconds_sum") / count))
    return done, means


def test_the_generators_figures_are_the_gateways(served: Bench, tmp_path: Path) -> None:
    seen: list[list[tuple[float, float]]] = []
    while not (seen and all(said - 0.001 < felt < said + 0.05 for felt, said in seen[-1])):
        assert len(seen) < RUNS, seen
        done, means = compared(served, tmp_path)
        seen.append(means)
    count = done.seconds("mock", "TTFT")["count"]
    assert done.seconds("mock", "ITL")["count"] == (TOKENS - 1) * done.seconds("mock", "TTFT")["count"]
    with (tmp_path / "locust_stats.csv").open() as file:
        rows = {row["Type"]: row for row in csv.DictReader(file) if row["Name"] == "mock"}
    assert set(rows) == {"TTFT", "TPOT", "ITL", "chat"}
    assert int(rows["TTFT"]["Request Count"]) == count
    assert "ITL" in (tmp_path / "locust.html").read_text()
    assert "<svg" in (tmp_path / "report.html").read_text()
    assert len((tmp_path / "timeline.csv").read_text().splitlines()) >= 4


def test_an_objective_that_does_not_hold_is_the_exit_code(served: Bench, tmp_path: Path) -> None:
    strict = tmp_path / "registry.yaml"
    strict.write_text(served.registry.read_text().replace("tpot: 2s", "tpot: 1ms"))
    told = ("--registry", str(strict), "--ttft", "2ms")
    done = load(tmp_path, *against(served, *told, "--load", "steady", "-u", "2", "-t", "1s", "ChatUser"))
    assert done.code in {1, 3}, done.output
    assert "DO NOT HOLD: TTFT p95" in done.output
    assert "2 ms are promised; TPOT p95" in done.output


def test_chat_over_grpc_is_clocked_alike(served: Bench, tmp_path: Path) -> None:
    done = load(tmp_path, *against(served, "--load", "steady", "-u", "3", "-t", "3s", "GrpcChatUser"))
    assert done.summary["models"]["mock"]["outcomes"].keys() == {"ok"}, done.output
    ttft, tpot = done.seconds("mock", "TTFT"), done.seconds("mock", "TPOT")
    assert ttft["count"] == tpot["count"] >= 3
    assert ttft["p50"] >= PACE
    assert tpot["p50"] >= 0.9 * PACE


def test_the_knee_is_the_capacity(tmp_path: Path) -> None:
    capacity = 8
    admission = {"concurrency": capacity, "queue": 1000, "patience": "60s"}
    with (
        mock_engine(TOKENS, 0.05, 1, late=True) as made,
        gateway(made.ports, admission=admission, slo={"ttft": "250ms"}) as found,
    ):
        options = ("--load", "knee", "-u", "64", "--think", "0", "--dwell", "1", "--words", "5", "--tokens", "5")
        seen: list[int] = []
        # Half a second an answer: 250 ms of waiting are half as many users again.
        while not (seen and capacity <= seen[-1] <= 1.5 * capacity + 1):
            assert len(seen) < RUNS, seen
            done = load(tmp_path, *against(found, *options, "ChatUser"))
            best = done.summary["knee"]["best"]
            seen.append(best["users"] if best else 0)


async def test_a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one(tmp_path: Path) -> None:
    """The same server stops once in each run, for three of seven seconds."""
    stalls: list[float] = []

    async def script(request: Received, wire: Wire) -> None:
        if not stalls:
            stalls.append(time.monotonic() + 2)  # from the first request on
        now = time.monotonic()
        if stalls[0] <= now < stalls[0] + 3:
            await asyncio.sleep(stalls[0] + 3 - now)
        await wire.head()
        await wire.events(delta(content="a"), delta(content="b"), usage(2, 2), "[DONE]")
        await wire.last()

    async def p95(folder: Path, *options: str) -> float:
        stalls.clear()
        same = ("--host", made.url, "--key", TEST_KEY, "--registry", str(tmp_path / "registry.yaml"))
        steady = ("--load", "steady", "-t", "7s", "--mix", "short", "--out", str(folder))
        done = await asyncio.to_thread(load, folder, *same, *steady, *options, "ChatUser")
        return done.seconds("m", "TTFT")["p95"]

    async with engine(script) as stalling, running(chat_registry(stalling.url), tmp_path) as made:
        closed = await p95(tmp_path / "closed", "-u", "2", "--think", "0.1")
        opened = await p95(tmp_path / "open", "-u", "2", "--arrivals", "10")
    print(f"TTFT p95: closed loop {closed * 1000:.0f} ms, open loop {opened * 1000:.0f} ms")
    assert opened > 1.5, "a third of those who came had to wait"
    assert closed < opened / 2, "two users can't wait more than twice"
