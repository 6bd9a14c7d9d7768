"""A benchmark's figures as a table, and the document around it."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

from loadtests.peers import PEERS
from loadtests.results import DIRECT, Results, Spread
from services.local.install import is_optimised

ENVOY = "envoy"
HEADER = (
    "| | req/s, 64 connections | added p50 µs, 1 connection | CPU s per 10,000 tokens, 64 streams | 256 streams "
    "| added TTFT µs, 64 streams, p50 | p99 | 256 streams, p50 | p99 | 256 calm streams, p50 | p99 "
    "| RSS MiB, idle | after |"
)
DOCUMENT = """# Benchmarks

{table}

{rounds} rounds, each against every target in turn; medians, and the range over the rounds in brackets.
{own} {quiet}{ratios}

The target runs alone on core 0; a mock engine with three endpoints and the load share the others. A stream is 64
tokens, 10 ms apart, begun at its own time; its first token leaves the engine at once. Calm streams have 40 ms between
tokens, which leaves every target room: 256 of the others fill a slow core, and their TTFT is that of the queue.
*Added* is the difference to the engine directly in the same round. CPU is user and system time of the target's
processes. The load compares every answer with the right one, byte for byte, and a target that breaks one fails the run.
Envoy is a static proxy with one worker and least request, vllm-router balances by power of two choices, both without
keys; Naru checks its key, routes and meters, all defaults on, its hot path compiled as in its image; *interpreted*: as
bytecode. *Every policy*: requests and tokens a minute, tokens a
day and streams at once limited for the key and for its tenant, admission, a price and a cache for the model; nothing is
refused, and nothing cached.

| | |
|---|---|
| machine | {machine} |
| kernel | {kernel} |
| Python | {python} |
| beside it | {peers} |
| date | {date} |
| command | `{command}` |
"""


def document(results: Results, command: str, rounds: int) -> str:
    peers = (f"{PEERS[name].distribution} {PEERS[name].version}" for name in results.targets if name in PEERS)
    return DOCUMENT.format(
        table=table(results), rounds=rounds, own=own(results), quiet=quiet(results),
        ratios=ratios(results), machine=machine(),
        kernel=platform.release(), python=interpreter(), peers=", ".join(peers) or "nothing",
        date=datetime.now(UTC).date().isoformat(), command=command,
    )  # fmt: skip


def table(results: Results) -> str:
    rows = [f"| {target} | {' | '.join(_cells(results, target))} |" for target in results.targets]
    return "\n".join([HEADER, "|" + "---|" * (HEADER.count("|") - 1), *rows])


def own(results: Results) -> str:
    """The engine's own times, which the added ones are added to."""
    p50, p99 = (f"{results.spread(DIRECT, f'{name}_256').median:.0f}" for name in ("ttft50", "ttft99"))
    one = results.spread(DIRECT, "p50").median
    return f"The engine's own: p50 {one:.0f} µs at one connection, TTFT p50 {p50} and p99 {p99} µs at 256 streams."


def quiet(results: Results) -> str:
    """How far the machine was free of other work."""
    shares = [results.spread(target, "others") for target in results.targets if target not in results.failures]
    median, most = max(each.median for each in shares), max(each.high for each in shares)
    return f"Other processes used {median:.0%} of a core in the middle of a target's measurements, {most:.0%} at most."


def ratios(results: Results) -> str:
    """How the others' rates compare with Envoy's: a figure that a machine whose speed drifts does not touch."""
    others = [name for name in results.targets if name not in {DIRECT, ENVOY, *results.failures}]
    if ENVOY not in results.targets or ENVOY in results.failures or not others:
        return ""
    told = (f"{name} {_cell(results.ratio(name, 'rate', ENVOY), 2)}" for name in others)
    return f"\nRequests a second, as a multiple of Envoy's in the same round: {', '.join(told)}."


def interpreter() -> str:
    with_pgo = "with" if is_optimised() else "without"
    return f"{platform.python_version()}, built {with_pgo} profile-guided optimisation"


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.machine()}, {os.cpu_count()} cores"


def _cells(results: Results, target: str) -> list[str]:
    if target in results.failures:
        return ["failed"] * (HEADER.count("|") - 2)
    rate = _cell(results.spread(target, "rate"), 0)
    if target == DIRECT:
        return [rate, *[""] * (HEADER.count("|") - 3)]
    added = [f"{name}_{shape}" for shape in ("64", "256", "calm") for name in ("ttft50", "ttft99")]
    return [
        rate,
        _cell(results.added(target, "p50"), 0),
        *(_cell(results.spread(target, name), 3) for name in ("cpu64", "cpu256")),
        *(_cell(results.added(target, name), 0) for name in added),
        *(f"{results.spread(target, name).median:.0f}" for name in ("idle", "after")),
    ]


def _cell(spread: Spread, places: int) -> str:
    median, low, high = (f"{value:,.{places}f}" for value in (spread.median, spread.low, spread.high))
    return f"{median} ({low} to {high})"
