"""Make the locks, or check that they fit pyproject.toml: `python -m services.local.lock [--check]`.

Each lock says, in its first line, from which dependencies it was made; the check compares that and needs no network.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tomllib

from services.local.install import LOCKS, ROOT, VENV, run, uv_variables

RUN_TIME = ("gateway", "llm", "sentiment", "recommendation", "local")
EXTRAS = {
    "gateway.txt": ("gateway",),
    "sentiment.txt": ("sentiment",),
    "recommendation.txt": ("recommendation",),
    "llm.txt": ("llm",),
    "cli.txt": ("local",),
    "local.txt": RUN_TIME,
    "dev.txt": (*RUN_TIME, "train", "dev"),
}
GROUPS = {
    "oip-clients.txt": "oip-clients",
    "build.txt": "build",
    "compile.txt": "compile",
    "supply-chain.txt": "supply-chain",
    "manifests.txt": "manifests",
}
"""Locks of dependency groups: what has an environment of its own."""


def inputs(lock: str) -> str:
    """A digest of what a lock is made from."""
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = pyproject["project"]
    if lock in GROUPS:
        used = [pyproject["dependency-groups"][GROUPS[lock]]]
    else:
        extras = (project["optional-dependencies"][extra] for extra in EXTRAS[lock])
        used = [project["dependencies"], *extras, pyproject["tool"]["uv"]]
    return hashlib.sha256(json.dumps(used).encode()).hexdigest()


def header(lock: str) -> str:
    return f"# made by `make lock` from pyproject.toml {inputs(lock)}\n"


def stale() -> list[str]:
    return [lock for lock in (*EXTRAS, *GROUPS) if not (LOCKS / lock).read_text().startswith(header(lock))]


def sources(lock: str) -> list[str]:
    if lock in GROUPS:
        return ["--group", f"pyproject.toml:{GROUPS[lock]}"]
    return ["pyproject.toml", *(part for extra in EXTRAS[lock] for part in ("--extra", extra))]


def make(lock: str, constraints: list[str], environment: dict[str, str]) -> None:
    result = subprocess.run(
        [
            str(VENV / "bin" / "uv"), "pip", "compile", *sources(lock), *constraints,
            "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate",
            "--no-emit-package", "torch", "--quiet",
        ],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if result.returncode != 0:
        sys.exit(f"{lock}: {result.stderr}")
    (LOCKS / lock).write_text(header(lock) + result.stdout)
    print(f"{lock}: {result.stdout.count('==')} packages")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.local.lock", description="Make or check the locks.")
    parser.add_argument("--check", action="store_true", help="only say whether they fit pyproject.toml")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions that fit")
    arguments = parser.parse_args()
    if arguments.check:
        if found := stale():
            sys.exit(f"{', '.join(found)}: pyproject.toml has changed since; run 'make lock'")
        return
    config = run(sys.executable, "-m", "pip", "config", "list").stdout
    environment = {**os.environ, **uv_variables(config, os.environ)}
    # The superset comes first; the others take their versions from it.
    everything = LOCKS / "dev.txt"
    keep = ["-c", str(everything)] if everything.exists() and not arguments.upgrade else []
    torch = ["-c", str(LOCKS / "torch-cpu.txt")]
    make("dev.txt", [*keep, *torch], environment)
    for lock in EXTRAS:
        if lock != "dev.txt":
            make(lock, ["-c", str(everything), *torch], environment)
    for lock in GROUPS:
        keep = ["-c", str(LOCKS / lock)] if (LOCKS / lock).exists() and not arguments.upgrade else []
        make(lock, keep, environment)


if __name__ == "__main__":
    main()
