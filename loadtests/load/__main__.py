"""Load on the stack that runs on this machine: its address, its key and its objectives need not be given.

python -m loadtests.load                       what `make load` does
python -m loadtests.load --load knee ChatUser  locust's options and those of loadtests/load/options.py
"""

import os
import sys
from pathlib import Path

from services.common.paths import state_dir
from services.local.key import development_key
from services.local.plan import addresses

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
SHORT = ("--load", "ramp", "--users", "4", "--run-time", "60s", "--mix", "short", "--prefix-words", "30")
"""What a language model on a laptop's processor can take."""


def arguments(given: list[str], environment: dict[str, str]) -> list[str]:
    """locust's command line: what is given, and what is not, as it is here."""
    out = Path(_option(given, "--out") or "build/load")
    found = addresses()
    defaults = {
        "--host": f"http://127.0.0.1:{found.http.port}", "--grpc": f"127.0.0.1:{found.grpc.port}",
        "--registry": str(state_dir() / "registry.yaml"), "--csv": str(out / "locust"),
        "--html": str(out / "locust.html"), "--stop-timeout": "60",
    }  # fmt: skip
    environment.setdefault("NARU_API_KEY", development_key())
    mine = [part for name, value in defaults.items() if _option(given, name) is None for part in (name, value)]
    load = () if _option(given, "--load") else SHORT
    return ["-f", str(LOCUSTFILE), "--headless", "--only-summary", *mine, *load, *given]


def _option(given: list[str], name: str) -> str | None:
    for part, following in zip(given, [*given[1:], ""], strict=True):
        if part == name:
            return following
        if part.startswith(f"{name}="):
            return part.partition("=")[2]
    return None


def main() -> None:
    environment = dict(os.environ)
    command = [sys.executable, "-m", "locust", *arguments(sys.argv[1:], environment)]
    out = Path(_option(command, "--csv") or "").parent
    out.mkdir(parents=True, exist_ok=True)
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
