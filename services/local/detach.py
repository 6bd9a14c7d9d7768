"""`naru up --detach`: the stack in the background, handed over when it is ready; and `naru down`."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence

from services.local import state

GIVE_UP = 3
"""Failures in a row of a service that was never ready."""


class StartError(RuntimeError):
    """The stack did not become ready; the message says which service and why."""


def start(services: Sequence[str], tell: Callable[[str], None]) -> None:
    """Returns when everything is ready. Raises StartError, and leaves nothing behind then."""
    state.logs().mkdir(parents=True, exist_ok=True)
    with (state.logs() / "up.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.local.cli", "up", *services], stdin=subprocess.DEVNULL, stdout=log,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    phases: dict[str, str] = {}
    while True:
        if process.poll() is not None:
            last = (state.logs() / "up.log").read_text(errors="replace").strip().splitlines()[-20:]
            raise StartError("\n".join(["the stack ended before it was ready:", *last]))
        current = state.running()
        if current is not None and current.pid == process.pid:
            _report(current, phases, tell)
            if current.ready:
                return
            _give_up_where_hopeless(current)
        time.sleep(0.2)


def _report(current: state.StackState, phases: dict[str, str], tell: Callable[[str], None]) -> None:
    for name, service in current.services.items():
        if phases.get(name) != service.phase:
            phases[name] = service.phase
            tell(f"{name}: {service.phase} {service.detail}".rstrip())


def _give_up_where_hopeless(current: state.StackState) -> None:
    for name, service in current.services.items():
        if service.failures >= GIVE_UP:
            stop()
            log = state.logs() / f"{name}.log"
            last = log.read_text(errors="replace").strip().splitlines()[-15:]
            raise StartError("\n".join([f"{name} {service.detail}, {GIVE_UP} times in a row:", *last]))


def stop(patience: float = 120.0) -> bool:
    """Stop the running stack, and whatever a dead one left behind. Whether there was anything to stop."""
    current = state.read()
    if current is None:
        return False
    if not current.supervisor.alive():
        swept = state.sweep(current)
        state.path().unlink(missing_ok=True)
        return swept > 0
    supervisor = state.Process(pid=current.pid, began=current.supervisor.began)
    deadline = time.monotonic() + patience
    os.kill(supervisor.pid, signal.SIGTERM)
    while supervisor.alive():
        if time.monotonic() > deadline:
            os.kill(supervisor.pid, signal.SIGKILL)
            state.sweep(current)
            break
        time.sleep(0.1)
    state.path().unlink(missing_ok=True)
    return True
