"""Compiles the hot path: see this package."""

import argparse
import contextlib
import importlib.util
import re
import shutil
import sys
import sysconfig
import tempfile
import time
from pathlib import Path
from typing import Any, cast

from services.gateway.compiled import GROUP, ROOT, VARIABLE, digest, sources

DEFAULT = ROOT / "build" / "compiled"
_DIGEST = re.compile("[0-9a-f]{16}")


def missing() -> str | None:
    """What this machine lacks to compile, and how it is installed."""
    for tool in ("mypyc", "setuptools"):
        if importlib.util.find_spec(tool) is None:
            return f"no {tool}: `make install`, or locks/compile.txt"
    compiler = str(sysconfig.get_config_var("CC")).split()[0]
    if shutil.which(compiler) is None:
        return f"no {compiler}: install a C compiler (Debian: gcc libc6-dev)"
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    return None if headers.exists() else f"no {headers}: install Python's headers (Debian: python3.11-dev)"


def build(into: Path) -> None:
    """Compile into the folder of these sources, below `into`, unless it was done before.

    Raises SystemExit where something is missing or a source does not compile.
    """
    made = into / digest()
    if made.is_dir():
        return
    lacking = missing()
    if lacking:
        raise SystemExit(f"compiled: {lacking}")
    from mypyc.build import mypycify  # noqa: PLC0415 - a tool of those who build, not of those who run
    from setuptools import setup  # noqa: PLC0415

    files = sources()
    print(f"compiled: {len(files)} modules of the hot path, for a minute or two", flush=True)  # noqa: T201
    began = time.monotonic()
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into) as work, contextlib.chdir(ROOT):
        options = ["--config-file=", "--ignore-missing-imports", "--no-warn-no-return", f"--cache-dir={work}/types"]
        extensions = mypycify(
            [*options, *files], only_compile_paths=files, target_dir=f"{work}/c", group_name=GROUP, opt_level="2",
            debug_level="0",
        )  # fmt: skip
        folders = [f"--build-lib={work}/done", f"--build-temp={work}/objects"]
        setup(
            name=GROUP, packages=[], ext_modules=cast(Any, extensions), script_args=["--quiet", "build_ext", *folders]
        )
        for old in into.iterdir():
            if _DIGEST.fullmatch(old.name):
                shutil.rmtree(old)  # of other sources
        Path(work, "done").rename(made)
    print(f"compiled: done after {time.monotonic() - began:.0f} s, in {made}", flush=True)  # noqa: T201


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m services.gateway.compiled", description="Compile the hot path.")
    parser.add_argument("--into", type=Path, default=DEFAULT, help="(%(default)s)")
    parser.add_argument("--check", action="store_true", help="only say what is missing to do so, with exit code 1")
    arguments = parser.parse_args()
    if arguments.check:
        lacking = missing()
        sys.exit(f"compiled: {lacking}" if lacking else 0)
    into = arguments.into.resolve()
    build(into)
    print(f"compiled: {VARIABLE}={into} uses it", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
