"""What one generator process on one core can take: a mock engine on the other core, nothing in between.

python -m loadtests.capacity --streams 500
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from loadtests.processes import Cores, mock_engine, pinned
from loadtests.wire import KEY, MODEL

TOKENS, PACE = 100, 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description="What one generator process on one core can take.")
    parser.add_argument("--streams", type=int, default=500, help="at once, each of 50 tokens a second")
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    cores = Cores.divided()
    with pinned(cores.target), mock_engine(TOKENS, PACE, 1) as engine, tempfile.TemporaryDirectory() as folder:
        registry = Path(folder) / "registry.yaml"
        url = f"http://127.0.0.1:{engine.ports[0]}"
        model = {"task": "chat", "versions": {"v1": {"endpoints": [url]}}}
        registry.write_text(yaml.safe_dump({"models": {MODEL: model}}))
        told = ["--host", url, "--key", KEY, "--registry", str(registry), "--out", folder, "--load", "soak"]
        load = ["--users", str(options.streams), "--run-time", f"{options.seconds}s", "--think", "0"]
        load += ["--words", "10", "--tokens", str(TOKENS), "--prefixes", "0", "ChatUser"]
        with pinned({min(cores.load)}):
            sys.exit(subprocess.run([sys.executable, "-m", "loadtests.load", *told, *load], check=False).returncode)


if __name__ == "__main__":
    main()
