"""What limits, admission, prices and the cache cost: the same gateway with and without them, under the same load.

    python -m loadtests.policies

Processor time of the gateway for each request that is not streamed, at 64 connections. The gateways have the same core
in turn, and each round measures all of them, so that a machine whose speed drifts treats all alike. Nothing is refused,
and no answer comes from the cache: what is measured is the cost of looking.
Exits with 1 where all of it together costs more than `ALLOWED`.
"""

import argparse
import contextlib
import hashlib
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from loadtests.bench import CONNECTIONS
from loadtests.mock_engine import MockEngine, served
from loadtests.processes import Bench, Cores, cpu_seconds, gateway, pinned
from loadtests.results import Results, Spread
from loadtests.whole import Step, saturate
from loadtests.wire import whole_request
from tests.support.ports import free_ports

ALLOWED = 8.0
"""Microseconds."""
SECRET = "sk-policies"
PLENTY = 10**9
LIMITS = {
    "requests_per_minute": PLENTY,
    "tokens_per_minute": PLENTY,
    "tokens_per_day": PLENTY,
    "concurrent_streams": PLENTY,
}
MODEL: dict[str, Any] = {
    "admission": {"concurrency": 10_000}, "price": {"input": 0.15, "output": 0.6, "currency": "USD"},
    "cache": {"ttl": "60s"},
}  # fmt: skip
BARE, ALL, FIGURE = "bare", "all", "cpu"


@dataclass(frozen=True, slots=True)
class Variant:
    limits: Mapping[str, int] = field(default_factory=dict)
    """Of the key and of its tenant."""
    model: Mapping[str, Any] = field(default_factory=dict)


VARIANTS = {
    BARE: Variant(),
    "limits": Variant(LIMITS),
    **{name: Variant(model={name: value}) for name, value in MODEL.items()},
    ALL: Variant(LIMITS, MODEL),
}


@contextlib.contextmanager
def serving(cores: set[int], engines: list[int], names: Iterable[str] = VARIANTS) -> Iterator[dict[str, Bench]]:
    """A gateway for each of these variants, on these cores."""
    with contextlib.ExitStack() as stack, pinned(cores):
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        yield {
            name: stack.enter_context(
                gateway(engines, keys=_keys(folder, name, VARIANTS[name]), **VARIANTS[name].model)
            )
            for name in names
        }


def _keys(folder: Path, name: str, variant: Variant) -> Path:
    key = {"name": "a", "tenant": "shop", "sha256": hashlib.sha256(SECRET.encode()).hexdigest(), **variant.limits}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"keys": [key], "tenants": {"shop": dict(variant.limits)}}), encoding="utf-8")
    return path


def measure(made: Bench, seconds: float, step: Step) -> float:
    """Microseconds of processor time for each request."""
    before = cpu_seconds(made.pid)
    rate = saturate(made.port, CONNECTIONS, seconds=seconds, alongside=step, request=whole_request(SECRET))
    return (cpu_seconds(made.pid) - before) / rate.requests * 1e6


def table(results: Results) -> str:
    rows = ["| | CPU µs for each request | added |", "|---|---|---|"]
    for name in VARIANTS:
        added = "" if name == BARE else _cell(results.added(name, FIGURE, to=BARE))
        rows.append(f"| {name} | {_cell(results.spread(name, FIGURE))} | {added} |")
    return "\n".join(rows)


def _cell(found: Spread) -> str:
    return f"{found.median:.1f} ({found.low:.1f} to {found.high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description="What limits, admission, prices and the cache cost each request.")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    arguments = parser.parse_args()
    cores, engines = Cores.divided(), free_ports(3)
    engine, results = MockEngine(engines, 1, 0.0), Results(list(VARIANTS))
    with pinned(cores.load), served(engine) as held, serving(cores.target, engines) as made, held:
        for one in made.values():
            measure(one, 1.0, engine.step)  # to warm up
        for number in range(arguments.rounds):
            for name, one in made.items():
                results.add(name, {FIGURE: measure(one, arguments.seconds, engine.step)})
            print(f"policies: round {number + 1} of {arguments.rounds} done", flush=True)
    print(table(results))
    cost = results.added(ALL, FIGURE, to=BARE).median
    if cost > ALLOWED:
        sys.exit(f"policies: all of it costs {cost:.1f} µs for each request, and may cost {ALLOWED:g}")


if __name__ == "__main__":
    main()
