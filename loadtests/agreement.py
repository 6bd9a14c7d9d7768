"""The load generator beside `vllm bench serve`: the same rate against the same gateway, one after the other.

    python -m loadtests.agreement                                   a mock engine behind a gateway of its own
    python -m loadtests.agreement --host http://127.0.0.1:8080 \\
        --model smollm2-135m-instruct --rate 0.5 --requests 40 --tokens 16

Both are open loops with the same arrivals (Poisson's by default), and send messages of the same length for answers of
the same length. Where few requests share an engine, chance decides how many do: `--burstiness 100` spreads them evenly.
Needs what `make install` and `make up` install: locust, vLLM's benchmark, and a tokenizer.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from loadtests.processes import gateway, mock_engine
from loadtests.wire import KEY, MODEL
from services.common.paths import cache_dir
from services.local.key import development_key

VLLM_BENCH = """
import sys
from vllm.benchmarks.serve import add_cli_args, main
from vllm.utils.argparse_utils import FlexibleArgumentParser
parser = FlexibleArgumentParser()
add_cli_args(parser)
main(parser.parse_args(sys.argv[1:]))
"""
"""`vllm bench serve`, without the command around it, which asks for a distribution called `vllm`: the CPU build's name
is another one."""
PACE = 0.02
KINDS = ("TTFT", "TPOT", "ITL")
Figures = dict[str, float]


def theirs(options: argparse.Namespace, host: str, key: str, folder: Path) -> Figures:
    told = {
        "backend": "openai-chat", "base-url": host, "endpoint": "/v1/chat/completions", "model": options.model,
        "tokenizer": options.tokenizer, "dataset-name": "random", "random-input-len": options.words,
        "random-output-len": options.tokens, "num-prompts": options.requests, "request-rate": options.rate,
        "burstiness": options.burstiness, "percentile-metrics": "ttft,tpot,itl", "metric-percentiles": "50,99",
        "seed": options.seed, "result-dir": folder, "result-filename": "theirs.json",
    }  # fmt: skip
    arguments = [part for name, value in told.items() for part in (f"--{name}", str(value))]
    flags = ["--ignore-eos", "--save-result", "--disable-tqdm"]
    goodput = ["--goodput", f"ttft:{options.ttft}", f"tpot:{options.tpot}"]
    run([sys.executable, "-c", VLLM_BENCH, *arguments, *flags, *goodput], OPENAI_API_KEY=key, VLLM_TARGET_DEVICE="cpu")
    found: dict[str, Any] = json.loads((folder / "theirs.json").read_text())
    figures = {f"{kind} p{p}": found[f"p{p}_{kind.lower()}_ms"] for kind in KINDS for p in (50, 99)}
    return {**figures, "goodput": found["request_goodput"], "requests": found["completed"]}


def ours(options: argparse.Namespace, host: str, key: str, folder: Path) -> Figures:
    registry = folder / "registry.yaml"
    entry = {"task": "chat", "versions": {"v1": {"endpoints": ["http://127.0.0.1:1"]}}}
    promised = {"ttft": f"{options.ttft}ms", "tpot": f"{options.tpot}ms"}
    registry.write_text(yaml.safe_dump({"models": {options.model: {**entry, "slo": promised}}}))
    told = {
        "host": host, "key": key, "out": folder, "registry": registry, "load": "steady", "users": 1,
        "arrivals": options.rate, "burstiness": options.burstiness,
        "run-time": f"{round(options.requests / options.rate)}s", "words": options.words, "tokens": options.tokens,
        "prefixes": 0, "seed": options.seed,
    }  # fmt: skip
    arguments = [part for name, value in told.items() for part in (f"--{name}", str(value))]
    made = folder / "summary.json"
    made.unlink(missing_ok=True)
    run([sys.executable, "-m", "loadtests.load", *arguments, "--ignore-eos", "ChatUser"], accepted=(0, 1, 3), made=made)
    summary: dict[str, Any] = json.loads(made.read_text())
    print(summary["generator"]["verdict"], flush=True)
    found = summary["models"][options.model]
    figures = {f"{kind} p{p}": found["seconds"][kind][f"p{p}"] * 1000 for kind in KINDS for p in (50, 99)}
    return {**figures, "goodput": found["good"] / summary["seconds"], "requests": found["outcomes"].get("ok", 0)}


def run(command: list[str], *, accepted: tuple[int, ...] = (0,), made: Path | None = None, **variables: str) -> None:
    """`made`: what it leaves where it did not fail."""
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, check=False)
    if done.returncode not in accepted or (made is not None and not made.exists()):
        sys.exit(f"agreement: {' '.join(command[:3])} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


@contextlib.contextmanager
def target(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Address and key."""
    if options.host:
        yield options.host, os.environ.get("NARU_API_KEY") or development_key()
        return
    with mock_engine(options.tokens, PACE, late=True) as engine, gateway(engine.ports) as made:
        yield made.gateway, KEY


def table(rounds: list[tuple[Figures, Figures]]) -> Iterator[str]:
    yield "| | `vllm bench serve` | this generator | difference |"
    yield "|---|---|---|---|"
    for name in rounds[0][0]:
        their, our = (sum(pair[side][name] for pair in rounds) / len(rounds) for side in (0, 1))
        unit = {"goodput": "/s", "requests": ""}.get(name, " ms")
        yield f"| {name} | {their:.2f}{unit} | {our:.2f}{unit} | {our - their:+.2f}{unit} ({our / their - 1:+.1%}) |"


def main() -> None:
    parser = argparse.ArgumentParser(description="The load generator beside vllm bench serve.")
    parser.add_argument("--host", help="a gateway that runs; one of its own, with a mock engine, where left out")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--tokenizer", help="a folder; the packaged model's where left out")
    parser.add_argument("--rate", type=float, default=20, help="requests a second")
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--burstiness", type=float, default=1, help="of arrivals: 1 is Poisson, more is evener")
    parser.add_argument("--words", type=int, default=20, help="of a message; tokens, to the other")
    parser.add_argument("--tokens", type=int, default=50, help="of an answer")
    parser.add_argument("--ttft", type=float, default=100, help="ms: what counts as goodput")
    parser.add_argument("--tpot", type=float, default=25, help="ms")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=1, help="each with both, in turn; the table has the means")
    options = parser.parse_args()
    options.tokenizer = options.tokenizer or str(next(cache_dir().glob("models/llm/**/tokenizer.json")).parent)
    with target(options) as (host, key), tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        rounds = [(theirs(options, host, key, folder), ours(options, host, key, folder)) for _ in range(options.rounds)]
    print("\n".join(table(rounds)))


if __name__ == "__main__":
    main()
