"""Install everything into `.venv`, from hashed locks. Standard library only: nothing is there yet.

    python3.11 -m services.local.install [--dev]

uv does the transfer (seconds, where pip takes minutes) and is itself installed by pip, with a hash. What the user
configured for pip (mirrors, local folders, certificates) is handed on to uv.
"""

import argparse
import ast
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
STAMP = VENV / ".naru-installed"
LOCKS = ROOT / "locks"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own index of CPU builds: the default index has the CUDA build, several GB of it."""

UV_VARIABLES = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "find-links": "UV_FIND_LINKS"}


def uv_variables(pip_config: str, environment: Mapping[str, str]) -> dict[str, str]:
    """uv's variables for what `pip config list` printed. What the user set for uv itself stays.

    With hashes on every package it is safe to take a file from whichever index has it.
    """
    found: dict[str, str] = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for line in pip_config.splitlines():
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        try:
            text = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
        if option in UV_VARIABLES:
            found[UV_VARIABLES[option]] = ("," if option == "find-links" else " ").join(text.split())
        elif option == "cert":
            found["SSL_CERT_FILE"] = text
    return {name: value for name, value in found.items() if name not in environment}


def fingerprint(lock: str) -> str:
    files = (LOCKS / lock, LOCKS / "torch-cpu.txt", LOCKS / "uv.txt", ROOT / "pyproject.toml")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def installed(locks: tuple[str, ...]) -> bool:
    """Whether `.venv` holds one of these locks as they are now."""
    try:
        return STAMP.read_text() in {fingerprint(lock) for lock in locks}
    except OSError:
        return False


def run(*command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment, text=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def step(what: str, *command: str, environment: Mapping[str, str] | None = None) -> None:
    """One long step with its line. Exits with the command's last lines if it fails."""
    began = time.monotonic()
    print(f"install: {what} ...", flush=True)
    result = run(*command, environment=environment)
    if result.returncode != 0:
        last = "\n".join(result.stdout.strip().splitlines()[-15:])
        sys.exit(f"install: {what} failed:\n{last}")
    print(f"install: {what}: done in {time.monotonic() - began:.0f} s", flush=True)


def install_torch(install: tuple[str, ...], environment: Mapping[str, str]) -> None:
    began = time.monotonic()
    lock = str(LOCKS / "torch-cpu.txt")
    print("install: PyTorch (CPU build) ...", flush=True)
    if run(*install, lock, environment=environment).returncode != 0:
        print(f"install: not in the configured package sources; taking it from {TORCH_INDEX}", flush=True)
        step("PyTorch from its own index", *install, lock, "--index", TORCH_INDEX, environment=environment)
    print(f"install: PyTorch: done in {time.monotonic() - began:.0f} s", flush=True)


def is_optimised() -> bool:
    """Whether this interpreter was built with profile-guided optimisation, as Debian's and Docker's are."""
    return "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))


def install(lock: str) -> None:
    STAMP.unlink(missing_ok=True)
    python = str(VENV / "bin" / "python")
    if not Path(python).exists():
        shutil.rmtree(VENV, ignore_errors=True)
        step("virtual environment", sys.executable, "-m", "venv", str(VENV))
    step("installer", python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCKS / "uv.txt"))
    config = run(python, "-m", "pip", "config", "list").stdout
    environment = {**os.environ, **uv_variables(config, os.environ)}
    uv = (str(VENV / "bin" / "uv"), "pip", "install", "--python", python, "--no-deps")
    locked = (*uv, "--require-hashes", "-r")
    install_torch(locked, environment)
    step("packages", *locked, str(LOCKS / lock), environment=environment)
    step("naru", *uv, "--no-build-isolation", "--editable", str(ROOT), environment=environment)
    STAMP.write_text(fingerprint(lock))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.local.install", description="Install Naru into .venv.")
    parser.add_argument("--dev", action="store_true", help="what `make check` and `make test` need, too")
    dev = parser.parse_args().dev
    if not installed(("dev.txt",) if dev else ("local.txt", "dev.txt")):
        if shutil.which("nvidia-smi"):
            print("install: there is a GPU here; the local stack runs on the CPU build all the same (see README)")
        if not is_optimised():
            print(
                f"install: {sys.executable} was built without optimisations (PGO): the gateway takes a seventh more "
                "CPU on it; PYTHON=<another python3.11> picks another"
            )
        install("dev.txt" if dev else "local.txt")


if __name__ == "__main__":
    main()
