"""Install everything into `.venv`, from hashed locks. Standard library only: nothing is there yet.

    python3.11 -m services.local.install [--dev]
    python3.11 -m services.local.install --into ENVIRONMENT LOCK

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
    # Of pip's sources its own variables count most; an empty one counts as none.
    for line in sorted(pip_config.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, value = line.partition("=")
        option = key.rpartition(".")[2]
        try:
            text = str(ast.literal_eval(value))
        except (SyntaxError, ValueError):
            continue
        if not text:
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


def install_torch(install: tuple[str, ...], environment: Mapping[str, str], index: str) -> None:
    """`index`: where it is if nowhere else."""
    began = time.monotonic()
    lock = str(LOCKS / "torch-cpu.txt")
    print("install: PyTorch (CPU build) ...", flush=True)
    if run(*install, lock, environment=environment).returncode != 0:
        print(f"install: not in the configured package sources; taking it from {index}", flush=True)
        step("PyTorch from its own index", *install, lock, "--index", index, environment=environment)
    print(f"install: PyTorch: done in {time.monotonic() - began:.0f} s", flush=True)


def is_optimised() -> bool:
    """Whether this interpreter was built with profile-guided optimisation, as Debian's and Docker's are."""
    # Debian asks for it by a target of make (`profile-opt`), which the configuration does not show.
    debian = Path("/etc/debian_version").exists() and Path(sys.base_prefix) == Path("/usr")
    return debian or "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))


def installer(tools: Path, python: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command with which the uv in `tools` installs for `python`, and its variables."""
    config = run(str(tools / "python"), "-m", "pip", "config", "list").stdout
    environment = {**os.environ, **uv_variables(config, os.environ)}
    return (str(tools / "uv"), "pip", "install", "--python", python, "--no-deps"), environment


def install_into(python: str, lock: str, torch_index: str) -> None:
    """Into an image's environment, with the uv beside this interpreter: what the lock names, compiled to bytecode."""
    uv, environment = installer(Path(sys.executable).parent, python)
    locked = (*uv, "--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r")
    if lock == "torch-cpu.txt":
        install_torch(locked, environment, torch_index)
    else:
        step(lock, *locked, str(LOCKS / lock), environment=environment)


def install(lock: str) -> None:
    STAMP.unlink(missing_ok=True)
    python = str(VENV / "bin" / "python")
    if not Path(python).exists():
        shutil.rmtree(VENV, ignore_errors=True)
        step("virtual environment", sys.executable, "-m", "venv", str(VENV))
    step("installer", python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCKS / "uv.txt"))
    uv, environment = installer(Path(python).parent, python)
    locked = (*uv, "--require-hashes", "-r")
    install_torch(locked, environment, TORCH_INDEX)
    step("packages", *locked, str(LOCKS / lock), environment=environment)
    step("naru", *uv, "--no-build-isolation", "--editable", str(ROOT), environment=environment)
    STAMP.write_text(fingerprint(lock))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.local.install", description="Install Naru into .venv.")
    parser.add_argument("--dev", action="store_true", help="what `make check` and `make test` need, too")
    parser.add_argument("--into", nargs=2, metavar=("ENVIRONMENT", "LOCK"), help="install a lock for an image")
    parser.add_argument("--torch-index", default=TORCH_INDEX, help="where PyTorch is if nowhere else")
    arguments = parser.parse_args()
    dev = arguments.dev
    if arguments.into:
        python, lock = arguments.into
        install_into(python, lock, arguments.torch_index)
    elif not installed(("dev.txt",) if dev else ("local.txt", "dev.txt")):
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
