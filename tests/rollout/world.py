"""What rollouts are tried on: a gateway in a process of its own, engines that answer as they are told, and traffic."""

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from services.sentiment.contract import answer
from tests.support.engine import Engine, Received, Script, Wire
from tests.support.ports import free_ports

ROOT = Path(__file__).parents[2]
KEY = "sk-rollout"
SLO = {"ttft": "2s", "availability": 99.9}
LATE = 2.5
"""Seconds, and later than the objective."""
WHOLE = {
    "id": "c", "object": "chat.completion", "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
}  # fmt: skip


async def well(_: Received, wire: Wire) -> None:
    await wire.whole(200, WHOLE)


async def late(_: Received, wire: Wire) -> None:
    await asyncio.sleep(LATE)
    await wire.whole(200, WHOLE)


def failing(status: int, one_in: int) -> Script:
    """One request in so many fails with this status."""
    turn = iter(range(10**9))

    async def script(_: Received, wire: Wire) -> None:
        if next(turn) % one_in == one_in // 2:
            await wire.whole(status, {"error": {"message": "boom"}})
        else:
            await wire.whole(200, WHOLE)

    return script


@dataclass
class Classifier:
    """An engine for sentiment, that knows its answers."""

    rows: dict[str, list[float]] = field(default_factory=dict)
    """Probabilities of negative, neutral and positive, by text."""

    async def __call__(self, request: Received, wire: Wire) -> None:
        await wire.whole(200, answer("feelings", "v", [self.rows[text] for text in request.json["input"]]))


def model(old: Engine, new: Engine, task: str = "chat") -> dict[str, Any]:
    """A model with a version that serves and one that waits for its turn."""
    versions = {"v1": {"endpoints": [old.url], "weight": 100}, "v2": {"endpoints": [new.url], "weight": 0}}
    return {"task": task, "versions": versions, "slo": SLO}


class Loop:
    """An event loop in a thread: engines and traffic go on while a test waits."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._engines: list[Engine] = []
        self._work: list[Future[None]] = []

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it beside everything else, until the loop is closed."""
        self._work.append(asyncio.run_coroutine_threadsafe(work, self._loop))  # a loop keeps no task alive

    def engine(self, script: Script = well) -> Engine:
        made = Engine(script)
        self.call(made.start())
        self._engines.append(made)
        return made

    def close(self) -> None:
        async def cancel() -> None:
            for engine in self._engines:
                engine.stop()
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.sleep(0.1)  # connections are closed in the loop's next turns

        self.call(cancel())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def until(true: Callable[[], bool], seconds: float = 200.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@dataclass
class Gateway:
    """`python -m services.gateway`."""

    registry: Path
    http: int
    admin: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http}"

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.admin}"

    def weights(self, name: str) -> dict[str, int]:
        versions = yaml.safe_load(self.registry.read_text())["models"][name]["versions"]
        return {label: version["weight"] for label, version in versions.items()}

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def start_gateway(registry: Path, poll: float = 0.1) -> Gateway:
    http, grpc, admin = free_ports(3)
    variables = {
        "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(registry), "NARU_GATEWAY__REGISTRY_POLL": str(poll),
        "NARU_GATEWAY__HTTP__PORT": str(http), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__ADMIN__PORT": str(admin), "NARU_GATEWAY__LOG_LEVEL": "ERROR",
    }  # fmt: skip
    process = subprocess.Popen([sys.executable, "-m", "services.gateway"], cwd=ROOT, env={**os.environ, **variables})
    made = Gateway(registry, http, admin, process)
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if all(httpx.get(f"http://{made.target}/readyz").json()["models"].values()):
                return made
        time.sleep(0.05)
    made.stop()
    raise TimeoutError("the gateway does not become ready")


async def traffic(gateway: Gateway, name: str, clients: int, pause: float) -> None:
    """Clients that each ask, take the answer, and wait: for ever."""
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "hi"}]})
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: x",
        f"authorization: Bearer {KEY}",
        f"content-length: {len(body)}",
    ]
    request = ("\r\n".join(lines) + "\r\n\r\n" + body).encode()

    async def client(number: int) -> None:
        await asyncio.sleep(pause * number / clients)
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.http)
        try:
            while True:
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                await reader.readexactly(int(head.split(b"content-length: ")[1].split(b"\r\n")[0]))
                await asyncio.sleep(pause)
        finally:
            writer.transport.abort()

    await asyncio.gather(*(client(number) for number in range(clients)))


@dataclass
class Command:
    """`naru rollout …` in a process of its own."""

    process: subprocess.Popen[str]
    log: list[str] = field(default_factory=list)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def wait(self, seconds: float = 280.0) -> dict[str, Any]:
        """What it printed with `--output json`, once it has ended."""
        out, err = self.process.communicate(timeout=seconds)
        self.log += err.splitlines()
        found: dict[str, Any] = json.loads(out) if out.startswith("{") else {"outcome": None, "printed": out}
        return {**found, "code": self.process.returncode, "log": "\n".join(self.log)}


def naru(*arguments: str) -> Command:
    return Command(
        subprocess.Popen(
            [sys.executable, "-m", "services.local.cli", "rollout", *arguments], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "NO_COLOR": "1"},
        )
    )  # fmt: skip
