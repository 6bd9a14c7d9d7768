"""What tracing costs: the same gateway with it off, with one request in a hundred recorded, and with every one.

    python -m loadtests.tracing

The gateways have the same core in turn, and each round measures all of them. The collector, on the other core, takes
what it is sent and throws it away. Spans beyond what a gateway may hold back are dropped by it, which at full speed
with every request recorded is most of them: recording is then measured, and sending as far as it comes.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from loadtests.bench import CONNECTIONS, SHAPES
from loadtests.mock_engine import MockEngine, served
from loadtests.processes import Bench, Cores, cpu_seconds, gateway, pinned, process
from loadtests.results import Results, Spread
from loadtests.streaming import load
from loadtests.whole import Step, saturate
from tests.support.ports import free_ports

OFF = "off"
SAMPLES = {"1 %": "0.01", "every request": "1"}
STREAMS = SHAPES["64"]


class Sink(BaseHTTPRequestHandler):
    """A collector that keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving(cores: Cores, engines: list[int]) -> Iterator[dict[str, Bench]]:
    [port] = free_ports(1)
    on = {"NARU_GATEWAY__TRACING__ENDPOINT": f"http://127.0.0.1:{port}"}
    with contextlib.ExitStack() as stack:
        with pinned(cores.load):
            stack.enter_context(process([sys.executable, "-m", "loadtests.tracing", "--sink", str(port)]))
        with pinned(cores.target):
            made = {OFF: stack.enter_context(gateway(engines))}
            for name, sample in SAMPLES.items():
                settings = {**on, "NARU_GATEWAY__TRACING__SAMPLE": sample}
                made[name] = stack.enter_context(gateway(engines, settings=settings))
        yield made


def measure(made: Bench, seconds: float, step: Step) -> dict[str, float]:
    """Requests a second and CPU µs for each, unstreamed; CPU seconds for 10,000 tokens, streamed."""
    before = cpu_seconds(made.pid)
    rate = saturate(made.port, CONNECTIONS, seconds=seconds, alongside=step)
    spent = cpu_seconds(made.pid) - before
    times: list[float] = []
    streamed = load(made.port, STREAMS, seconds, clock=lambda: times.append(cpu_seconds(made.pid)), alongside=step)
    return {
        "rate": rate.per_second,
        "request": spent / rate.requests * 1e6,
        "tokens": (times[1] - times[0]) / streamed.tokens * 10_000,
    }


def table(results: Results) -> str:
    rows = ["| tracing | req/s, 64 connections | CPU µs a request | CPU s per 10,000 tokens, 64 streams |",
            "|---|---|---|---|"]  # fmt: skip
    for name in results.targets:
        cells = [_cell(results.spread(name, figure), form)
                 for figure, form in (("rate", ",.0f"), ("request", ".1f"), ("tokens", ".3f"))]  # fmt: skip
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _cell(found: Spread, form: str) -> str:
    return f"{found.median:{form}} ({found.low:{form}} to {found.high:{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description="What tracing costs: off, one request in a hundred, every request.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    parser.add_argument("--sink", type=int, metavar="PORT", help="be the collector")
    arguments = parser.parse_args()
    if arguments.sink:
        ThreadingHTTPServer(("127.0.0.1", arguments.sink), Sink).serve_forever()
    cores, engines = Cores.divided(), free_ports(3)
    engine, results = MockEngine(engines, STREAMS.tokens, STREAMS.pace), Results([OFF, *SAMPLES])
    with pinned(cores.load), served(engine) as held, serving(cores, engines) as made, held:
        for one in made.values():
            saturate(one.port, CONNECTIONS, seconds=1, alongside=engine.step)  # to warm up
        for number in range(arguments.rounds):
            for name, one in made.items():
                results.add(name, measure(one, arguments.seconds, engine.step))
            print(f"tracing: round {number + 1} of {arguments.rounds} done", flush=True)
    print(table(results))


if __name__ == "__main__":
    main()
