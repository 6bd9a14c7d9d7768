"""The protocol's official clients, in an environment and processes of their own.

They want an older protobuf than the gateway does, and each registers the protocol's messages under the very names of
the gateway's own. What a client does stands in `with_triton.py` and `with_kserve.py`; `worker.py` runs it over there.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from services.common.paths import cache_dir
from services.local.install import LOCKS, run, uv_variables

LOCK = LOCKS / "oip-clients.txt"
WORKER = Path(__file__).with_name("worker.py")


def python() -> Path:
    """The interpreter of the clients' environment, which is made where this lock has none yet."""
    folder = cache_dir() / "oip-clients" / hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]
    found, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        _run(*_installer(found), "--no-deps", "--require-hashes", "-r", str(LOCK))
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


class Official:
    """One client library in a process of its own: `module` is `with_triton` or `with_kserve`."""

    def __init__(self, module: str) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        self._process = subprocess.Popen(
            [str(python()), str(WORKER), module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def call(self, function: str, **arguments: Any) -> Any:
        """What the module's function returned, by way of JSON. An exception there fails the test here."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([function, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the client's process ended with {self._process.wait(30)}"
        answer = json.loads(line)
        assert "raised" not in answer, answer["raised"]
        return answer["returned"]

    def close(self) -> None:
        """The worker ends when its input does."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()
