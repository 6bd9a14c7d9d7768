"""Find the knee of a system whose capacity is known: the gateway lets so many requests run, a mock engine serves them.

python -m loadtests.known_knee --runs 3
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from loadtests.processes import gateway, mock_engine
from loadtests.wire import KEY

TOKENS, PACE = 25, 0.02
"""Half a second an answer: 100 ms of waiting are a fifth more users than can be served."""
SLO = {"ttft": "100ms"}


def knee(capacity: int, dwell: float) -> dict[str, Any]:
    admission = {"concurrency": capacity, "queue": 100 * capacity, "patience": "60s"}
    with (
        mock_engine(TOKENS, PACE, 1, late=True) as engine,
        gateway(engine.ports, admission=admission, slo=SLO) as made,
        tempfile.TemporaryDirectory() as folder,
    ):
        told = [
            "--host",
            made.gateway,
            "--key",
            KEY,
            "--registry",
            str(made.registry),
            "--out",
            folder,
            "--load",
            "knee",
        ]
        asked = ["--users", "512", "--think", "0", "--dwell", str(dwell), "--words", "10", "--tokens", str(TOKENS)]
        command = [sys.executable, "-m", "loadtests.load", *told, *asked, "ChatUser"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        summary = Path(folder) / "summary.json"
        if not summary.exists():
            sys.exit(f"known_knee: the load test failed:\n{done.stderr[-3000:]}")
        found: dict[str, Any] = json.loads(summary.read_text())
        print(found["generator"]["verdict"], flush=True)
        return found["knee"]["best"] or {"users": 0, "goodput": 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description="Find the knee of a system whose capacity is known.")
    parser.add_argument("--capacity", type=int, default=40, help="requests that run at a time")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--dwell", type=float, default=4, help="seconds of a level")
    options = parser.parse_args()
    found = [knee(options.capacity, options.dwell) for _ in range(options.runs)]
    print("| run | knee | goodput |\n|---|---|---|")
    for number, best in enumerate(found, 1):
        print(f"| {number} | {best['users']} users | {best['goodput']:.1f}/s |")
    users = [best["users"] for best in found]
    if max(users) > 1.1 * min(users):
        sys.exit("known_knee: the runs differ by more than a tenth")


if __name__ == "__main__":
    main()
