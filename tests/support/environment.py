"""Environments of their own for programs whose dependencies do not go with the project's, made from a lock and kept."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

from services.common.paths import cache_dir
from services.local.install import LOCKS, run, uv_variables


def python_of(lock: str) -> Path:
    """The interpreter of a lock's environment, which is made where this lock has none yet."""
    path = LOCKS / lock
    folder = cache_dir() / path.stem / hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    found, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(*_installer(found), "--no-deps", "--require-hashes", "-r", str(path))
        complete.touch()
    return found


def _installer(interpreter: Path) -> tuple[str, ...]:
    """uv takes seconds where pip takes minutes, and is there after `make install`."""
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        return (str(uv), "pip", "install", "--python", str(interpreter))
    return (str(interpreter), "-m", "pip", "install")


def _run(*command: str) -> None:
    config = run(sys.executable, "-m", "pip", "config", "list").stdout
    done = run(*command, environment={**os.environ, **uv_variables(config, os.environ)})
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout[-4000:]}"
