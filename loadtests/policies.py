"""What limits, admission, prices and the cache cost: the same load on models and keys with and without them.

    python -m loadtests.policies

Processor time of the gateway for each request that is not streamed, at 64 connections. One process serves all: two
processes differ by more than what is measured, for where their memory happens to lie. Short measurements take turns,
in an order drawn anew for each round, and each is compared with the bare one of its round. Envoy, where it is installed
(`python -m loadtests.peers`), takes its turn, too: what a request costs there tells a slow machine from a slow gateway.
Exits with 1 where all of it together costs more than `ALLOWED`.
"""

import argparse
import contextlib
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loadtests.bench import CONNECTIONS
from loadtests.configured import INTERPRETED, LIMITS, POLICIES, compiled, key_file
from loadtests.mock_engine import MockEngine, served
from loadtests.peers import PEERS, running
from loadtests.processes import Bench, Cores, cpu_seconds, gateway, pinned
from loadtests.results import Results, Spread
from loadtests.whole import Step, saturate
from loadtests.wire import MESSAGES, request, whole_request
from tests.support.ports import free_ports

ALLOWED = 8.0
"""Microseconds, on a machine where a request costs Envoy `ENVOY_THEN` of them; on others the same share of that."""
ENVOY_THEN = 36.0
ENVOY = "envoy"
FREE, LIMITED = "sk-policies-free", "sk-policies-held"
BARE, ALL, FIGURE = "bare", "all", "cpu"


@dataclass(frozen=True, slots=True)
class Variant:
    key: str = FREE
    model: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    BARE: Variant(),
    "limits": Variant(LIMITED),
    **{name: Variant(model={name: value}) for name, value in POLICIES.items()},
    ALL: Variant(LIMITED, POLICIES),
}


@contextlib.contextmanager
def serving(cores: set[int], engines: list[int], settings: Mapping[str, str]) -> Iterator[Bench]:
    """A gateway with a model for each variant and these variables, on these cores."""
    with tempfile.TemporaryDirectory() as folder, pinned(cores):
        keys = key_file(Path(folder) / "keys.yaml", {FREE: {}, LIMITED: LIMITS})
        models = {name: one.model for name, one in VARIANTS.items()}
        with gateway(engines, keys=keys, settings=settings, others=models) as made:
            yield made


def measure(made: Bench, name: str, seconds: float, step: Step) -> float:
    """Microseconds of processor time for each request."""
    asked = request({"model": name, "messages": MESSAGES}, key=VARIANTS[name].key)
    return _cost(made.port, made.pid, asked, seconds, step)


def _cost(port: int, pid: int, asked: bytes, seconds: float, step: Step) -> float:
    before = cpu_seconds(pid)
    rate = saturate(port, CONNECTIONS, seconds=seconds, alongside=step, request=asked)
    return (cpu_seconds(pid) - before) / rate.requests * 1e6


@contextlib.contextmanager
def envoy(cores: set[int], engines: list[int]) -> Iterator[tuple[int, int] | None]:
    """Its process and port, on these cores; None where it is not installed."""
    if not PEERS[ENVOY].path.exists():
        yield None
        return
    with pinned(cores), running(PEERS[ENVOY], engines) as made:
        yield made


def table(results: Results) -> str:
    rows = ["| | CPU µs for each request | added |", "|---|---|---|"]
    if ENVOY in results.targets:
        rows.append(f"| {ENVOY} | {_cell(results.spread(ENVOY, FIGURE))} | |")
    for name in VARIANTS:
        added = "" if name == BARE else _cell(results.added(name, FIGURE, to=BARE))
        rows.append(f"| {name} | {_cell(results.spread(name, FIGURE))} | {added} |")
    return "\n".join(rows)


def _cell(found: Spread) -> str:
    return f"{found.median:.1f} ({found.low:.1f} to {found.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="What limits, admission, prices and the cache cost each request.")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--interpreted", action="store_true", help="all of the gateway as bytecode: nothing compiled")
    arguments = parser.parse_args()
    settings = INTERPRETED if arguments.interpreted else compiled()
    cores, engines = Cores.divided(), free_ports(3)
    engine, draw = MockEngine(engines, 1, 0.0), random.Random(1)
    with (
        pinned(cores.load), served(engine) as held, serving(cores.target, engines, settings) as made,
        envoy(cores.target, engines) as beside, held,
    ):  # fmt: skip
        results = Results([*VARIANTS, *([] if beside is None else [ENVOY])])

        def cost(name: str, seconds: float) -> float:
            if name == ENVOY and beside is not None:
                pid, port = beside
                return _cost(port, pid, whole_request(), seconds, engine.step)
            return measure(made, name, seconds, engine.step)

        for name in results.targets:
            cost(name, 1.0)  # to warm up
        for number in range(arguments.rounds):
            for name in draw.sample(results.targets, len(results.targets)):
                results.add(name, {FIGURE: cost(name, arguments.seconds)})
            if (number + 1) % 10 == 0:
                print(f"policies: round {number + 1} of {arguments.rounds} done", flush=True)
    print(table(results))
    sys.exit(verdict(results))


def verdict(results: Results) -> str | None:
    """None where all of it costs no more than it may; says what it costs, in microseconds and of an Envoy's request."""
    all_of_it, allowed = results.added(ALL, FIGURE, to=BARE).median, ALLOWED
    if ENVOY in results.targets:
        there = results.spread(ENVOY, FIGURE).median
        allowed *= there / ENVOY_THEN
        share, most = all_of_it / there, ALLOWED / ENVOY_THEN
        print(f"policies: all of it costs {share:.0%} of what a request costs Envoy; {most:.0%} are allowed")
    return None if all_of_it <= allowed else f"policies: it costs {all_of_it:.1f} µs; {allowed:.1f} are allowed here"


if __name__ == "__main__":
    main()
