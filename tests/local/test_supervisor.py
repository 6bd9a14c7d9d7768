"""The supervisor with real processes: readiness, death, back-off, order, and nothing left behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from services.local import detach, state
from services.local.child import Child
from services.local.plan import Plan, Service
from services.local.supervisor import Supervisor, pause_after
from tests.support.ports import free_ports

SERVER = """
import http.server, subprocess, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.send_header("content-length", "13"); self.end_headers()
        self.wfile.write(b'{"models": {}}'[:13] if self.path != "/readyz" else b'{"models":{}}')
    def log_message(self, *args): pass
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("serving", flush=True)
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


def server(name: str, port: int) -> Service:
    command = (sys.executable, "-c", SERVER, str(port))
    return Service(name, command, f"http://127.0.0.1:{port}/readyz", grace=3)


class Run:
    """A supervisor over some services, with everything it said."""

    def __init__(self, *services: Service, admin: str = "http://127.0.0.1:9") -> None:
        self.said: list[str] = []
        self.told: list[str] = []
        self.ready = asyncio.Event()
        plan = Plan(services, "http://127.0.0.1:9", None, admin, {})
        self.supervisor = Supervisor(
            plan, lambda n, line: self.said.append(f"{n}: {line}"), self.told.append, self.ready.set
        )

    async def during(self, act: Callable[[], Awaitable[None]]) -> None:
        running = asyncio.create_task(self.supervisor.run())
        try:
            await act()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(running, 20)

    async def until_told(self, part: str) -> None:
        async with asyncio.timeout(20):
            while not any(part in line for line in self.told):
                await asyncio.sleep(0.05)


def descendants() -> set[int]:
    return {process.pid for process in psutil.Process().children(recursive=True) if process.status() != "zombie"}


async def test_ready_then_stopped_in_order_with_nothing_left() -> None:
    one, two = free_ports(2)
    run = Run(server("gateway", one), server("llm", two), admin=f"http://127.0.0.1:{one}")
    before = descendants()

    async def act() -> None:
        await asyncio.wait_for(run.ready.wait(), 20)
        current = state.running()
        assert current is not None
        assert current.ready
        assert len(descendants() - before) == 4  # two services, a child each

    await run.during(act)
    assert [line for line in run.told if line.startswith("stopping")] == ["stopping gateway", "stopping llm"]
    assert descendants() <= before
    assert state.read() is None
    assert "gateway: serving" in run.said


async def test_a_service_that_dies_is_named_with_its_last_lines_and_started_again() -> None:
    [port] = free_ports(1)
    run = Run(server("llm", port), admin=f"http://127.0.0.1:{port}")

    async def act() -> None:
        await asyncio.wait_for(run.ready.wait(), 20)
        current = state.running()
        assert current is not None
        victim = current.services["llm"].process
        assert victim is not None
        os.kill(victim.pid, signal.SIGKILL)
        await run.until_told("died (SIGKILL)")
        run.told.remove(next(line for line in run.told if "is ready" in line))
        await run.until_told("llm is ready")

    await run.during(act)
    assert "    serving" in run.told


async def test_a_service_that_cannot_start_is_tried_with_longer_pauses() -> None:
    broken = Service(
        "llm", (sys.executable, "-c", "print('no such model'); raise SystemExit(3)"), "http://127.0.0.1:9/"
    )
    run = Run(broken)
    await run.during(lambda: run.until_told("starting it again in 2 s"))
    assert any("ended with exit code 3; starting it again in 1 s" in line for line in run.told)
    assert "    no such model" in run.told


def test_back_off() -> None:
    assert [pause_after(n) for n in (1, 2, 3, 4, 5, 6, 60)] == [1, 2, 4, 8, 16, 30, 30]


async def test_a_service_that_ignores_sigterm_is_killed_with_its_children() -> None:
    code = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); print('up', flush=True); "
        "time.sleep(600)"
    )
    lines: list[str] = []
    before = descendants()
    child = await Child.start([sys.executable, "-c", code], {}, lines.append)
    async with asyncio.timeout(30):
        while "up" not in lines:
            await asyncio.sleep(0.05)
    await child.stop(0.3)
    assert descendants() <= before


async def test_what_a_killed_supervisor_left_is_swept_by_down() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(600)", start_new_session=True
    )
    gone = state.Process(pid=2**22 - 1, began=1.0)
    service = state.ServiceState(phase="ready", since=0.0, process=state.Process.of(child.pid))
    state.write(state.StackState(pid=gone.pid, supervisor=gone, gateway="", services={"llm": service}))
    assert state.running() is None
    stopping = asyncio.create_task(asyncio.to_thread(detach.stop))
    assert await asyncio.wait_for(child.wait(), 15) == -signal.SIGTERM
    assert await stopping
    assert state.read() is None
