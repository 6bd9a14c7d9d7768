"""The gateway beside Envoy, vllm-router and the engine directly, under the same load.

    python -m loadtests.bench --output docs/benchmarks.md

The target under load has one core to itself. The mock engine and the load share this thread on another, and never
sleep: waking a core costs tens of microseconds on a virtual machine, and would be charged to the target. Each round
measures every target in turn, so that a machine whose speed drifts treats all alike. Every answer is compared with the
right one: a target that breaks one has failed, and so has the run.
"""

import argparse
import contextlib
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter, process_time

from loadtests import streaming
from loadtests.configured import INTERPRETED, LIMITS, POLICIES, compiled, key_file
from loadtests.mock_engine import Counts, MockEngine, served
from loadtests.peers import PEERS, running
from loadtests.processes import Cores, busy_seconds, cpu_seconds, gateway, pinned, resident
from loadtests.report import document, quiet, table
from loadtests.results import DIRECT, Results
from loadtests.streaming import Shape
from loadtests.whole import Step, latencies, saturate
from loadtests.wire import KEY, BrokenAnswer
from tests.support.ports import free_ports

GATEWAY = "naru"
CONFIGURED = "naru, every policy"
BYTECODE = "naru, every policy, interpreted"
OURS = (GATEWAY, CONFIGURED, BYTECODE)
CONNECTIONS = 64
SHAPES = {"64": Shape(64, tokens=64, pace=0.01), "256": Shape(256, 64, 0.01), "calm": Shape(256, 64, 0.04)}
"""By what a figure's name ends with. The last one leaves every target room: what is seen there is no queue."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Seconds of each measurement."""

    rate: float
    latency: float
    streams: float


FULL, QUICK = Lengths(rate=4, latency=2, streams=5), Lengths(rate=1, latency=0.5, streams=1.5)


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    port: int
    pid: int
    """0 where there is no process but this one."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One measurement of one target: its figures by their names."""

    clients: int
    """At once."""
    measure: Callable[[Target], dict[str, float]]


@dataclass(slots=True)
class _Clock:
    """The processor time of a target between two calls."""

    pid: int
    times: list[float] = field(default_factory=list)

    def __call__(self) -> None:
        self.times.append(cpu_seconds(self.pid))

    @property
    def seconds(self) -> float:
        return self.times[1] - self.times[0]


def phases(lengths: Lengths, engine: MockEngine) -> list[Phase]:
    step: Step = engine.step

    def rate(target: Target) -> dict[str, float]:
        return {"rate": saturate(target.port, CONNECTIONS, seconds=lengths.rate, alongside=step).per_second}

    def latency(target: Target) -> dict[str, float]:
        return {"p50": statistics.median(latencies(target.port, lengths.latency, step)) * 1e6}

    def streams(name: str, shape: Shape) -> Callable[[Target], dict[str, float]]:
        def measure(target: Target) -> dict[str, float]:
            clock, engine.pace = _Clock(target.pid), shape.pace
            found = streaming.load(target.port, shape, lengths.streams, clock=clock, alongside=step)
            ttft = statistics.quantiles(found.ttft, n=100, method="inclusive")
            return {
                f"cpu{name}": clock.seconds / found.tokens * 10_000,
                f"ttft50_{name}": ttft[49] * 1e6,
                f"ttft99_{name}": ttft[98] * 1e6,
            }

        return measure

    streamed = [Phase(shape.streams, streams(name, shape)) for name, shape in SHAPES.items()]
    return [Phase(CONNECTIONS, rate), Phase(1, latency), *streamed]


def measure(phase: Phase, target: Target, counts: Counts) -> dict[str, float]:
    """The phase's figures, and `others`: the cores that anything else used meanwhile, which makes a figure worthless.

    Raises BrokenAnswer where an answer is wrong, or where upstream connections are not kept.
    """
    before, began, others = replace(counts), perf_counter(), _others(target)
    found = phase.measure(target)
    found["others"] = max(0.0, (_others(target) - others) / (perf_counter() - began))
    connections, requests = counts.connections - before.connections, counts.requests - before.requests
    if connections > 4 * phase.clients + requests / 50:
        raise BrokenAnswer(f"{connections} connections to the engine for {requests} requests")
    return found


def _others(target: Target) -> float:
    """Processor seconds of all but the target and this process."""
    return busy_seconds() - process_time() - cpu_seconds(target.pid)


def run(targets: list[Target], engine: MockEngine, rounds: int, lengths: Lengths) -> Results:
    results = Results([target.name for target in targets])
    for target in targets:
        results.add(target.name, {"idle": resident(target.pid)})
        saturate(target.port, CONNECTIONS, seconds=1, alongside=engine.step)  # to warm up
    for number in range(rounds):
        for phase in phases(lengths, engine):
            for target in targets:
                try:
                    results.add(target.name, measure(phase, target, engine.counts))
                except (BrokenAnswer, OSError) as error:
                    if target.name == DIRECT:
                        raise  # nothing to compare with
                    print(f"bench: {target.name}, round {number + 1}: FAILED: {error}", flush=True)
                    results.fail(target.name, str(error))
        print(f"bench: round {number + 1} of {rounds} done", flush=True)
    for target in targets:
        results.add(target.name, {"after": resident(target.pid)})
    return results


@contextlib.contextmanager
def serving(names: list[str], engines: list[int], cores: set[int]) -> Iterator[list[Target]]:
    """The named targets, each in a process on these cores; those that are not there are left out, and named."""
    with contextlib.ExitStack() as stack:
        with pinned(cores):
            started = [stack.enter_context(_started(name, engines)) for name in names if _is_there(name)]
        yield [Target(DIRECT, engines[0], 0), *started]


def _is_there(name: str) -> bool:
    if name in OURS or PEERS[name].path.exists():
        return True
    print(f"bench: {name} is not installed and left out: python -m loadtests.peers", flush=True)
    return False


@contextlib.contextmanager
def _started(name: str, engines: list[int]) -> Iterator[Target]:
    if name == GATEWAY:
        with gateway(engines, settings=compiled()) as made:
            yield Target(name, made.port, made.pid)
    elif name in OURS:
        with tempfile.TemporaryDirectory() as folder:
            keys = key_file(Path(folder) / "keys.yaml", {KEY: LIMITS})
            settings = {"NARU_API_KEY": "sk-other", **(INTERPRETED if name == BYTECODE else compiled())}
            with gateway(engines, keys=keys, settings=settings, **POLICIES) as made:
                yield Target(name, made.port, made.pid)
    else:
        with running(PEERS[name], engines) as (pid, port):
            yield Target(name, port, pid)


def main() -> None:
    known = [*OURS, *PEERS]
    parser = argparse.ArgumentParser(description="The gateway beside Envoy, vllm-router and the engine directly.")
    parser.add_argument("--targets", nargs="+", choices=known, default=known, help="beside the engine directly")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="short measurements: to see that it works")
    parser.add_argument("--output", type=Path, help="the document to write")
    arguments = parser.parse_args()
    cores = Cores.divided()
    engines = free_ports(3)
    engine = MockEngine(engines, SHAPES["64"].tokens, SHAPES["64"].pace)
    with (
        pinned(cores.load),
        served(engine) as held,
        serving(arguments.targets, engines, cores.target) as targets,
        held,
    ):
        results = run(targets, engine, arguments.rounds, QUICK if arguments.quick else FULL)
    print(f"{table(results)}\n{quiet(results)}")
    if arguments.output:
        command = shlex.join(["python", "-m", "loadtests.bench", *sys.argv[1:]])
        arguments.output.write_text(document(results, command, arguments.rounds), encoding="utf-8")
    if results.failures:
        sys.exit("bench: an answer was wrong; see FAILED above")


if __name__ == "__main__":
    main()
