"""What a running stack leaves on disk for `naru status`, `logs` and `down`."""

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
from pydantic import BaseModel, ValidationError

from services.common.paths import state_dir


class Process(BaseModel):
    """A process by its number and the time it began, so that a number given anew is not taken for it."""

    pid: int
    began: float

    @classmethod
    def of(cls, pid: int) -> "Process":
        return cls(pid=pid, began=psutil.Process(pid).create_time())

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.began and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False


class ServiceState(BaseModel):
    phase: str
    """waiting, preparing, starting, ready, restarting or stopped."""
    since: float
    process: Process | None = None
    failures: int = 0
    """Times in a row that it ended without having been ready for a while."""
    detail: str = ""


class StackState(BaseModel):
    pid: int
    """The supervisor's process; its name is read before anything is installed (preflight)."""
    supervisor: Process
    gateway: str
    services: dict[str, ServiceState]
    ready: bool = False
    """Everything was ready at once, and the gateway knew it."""


def path() -> Path:
    return state_dir() / "stack.json"


def logs() -> Path:
    return state_dir() / "logs"


def read() -> StackState | None:
    """The state of the last stack, whether it runs or not."""
    try:
        return StackState.model_validate_json(path().read_bytes())
    except (OSError, ValidationError):
        return None


def write(state: StackState) -> None:
    data: dict[str, Any] = state.model_dump(mode="json")
    path().parent.mkdir(parents=True, exist_ok=True)
    scratch = path().with_suffix(".new")
    scratch.write_text(json.dumps(data))
    scratch.replace(path())


def running() -> StackState | None:
    """The stack that runs now."""
    state = read()
    return state if state is not None and state.supervisor.alive() else None


def left_behind(state: StackState) -> Iterator[Process]:
    """Services of a stack whose supervisor is gone."""
    for service in state.services.values():
        if service.process is not None and service.process.alive():
            yield service.process


def kill_group(pid: int, number: signal.Signals) -> None:
    """Signal a service and everything it started; each service leads a process group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def sweep(state: StackState, patience: float = 10.0) -> int:
    """End what a dead supervisor left behind. Returns how many services that were."""
    left = list(left_behind(state))
    for process in left:
        kill_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(process.alive() for process in left) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in left:
        kill_group(process.pid, signal.SIGKILL)
    return len(left)
