"""Starts a mock engine and a gateway in front of it, each a process of its own, for a benchmark's length."""

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

KEY = "sk-loadtest"
MODEL = "mock"


@dataclass(frozen=True, slots=True)
class Bench:
    engine: str
    gateway: str
    grpc: str
    admin: str
    pid: int
    """The gateway's process."""

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.admin}/metrics", timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def rss(self) -> float:
        """The gateway's resident memory, MiB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def bench(tokens: int, pace: float, pin: bool = False) -> Iterator[Bench]:
    """With `pin`, the gateway has core 0 to itself; the engine and the load share the rest."""
    engine_port, port, grpc, admin = (free_port() for _ in range(4))
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        registry = Path(folder) / "registry.yaml"
        versions = {"v1": {"endpoints": [f"http://127.0.0.1:{engine_port}"]}}
        registry.write_text(yaml.safe_dump({"models": {MODEL: {"task": "chat", "versions": versions}}}))
        engine = [sys.executable, "-m", "loadtests.mock_engine", "--port", str(engine_port)]
        stack.enter_context(_process([*engine, "--tokens", str(tokens), "--pace", str(pace)], {}))
        settings = {
            "NARU_API_KEY": KEY, "NARU_GATEWAY__REGISTRY": str(registry), "NARU_GATEWAY__HTTP__PORT": str(port),
            "NARU_GATEWAY__ADMIN__PORT": str(admin), "NARU_GATEWAY__GRPC__PORT": str(grpc),
            "NARU_GATEWAY__HTTP__MAX_CONNECTIONS": "20000",
        }  # fmt: skip
        gateway = stack.enter_context(_process([sys.executable, "-m", "services.gateway"], settings))
        made = Bench(
            f"http://127.0.0.1:{engine_port}",
            f"http://127.0.0.1:{port}",
            f"127.0.0.1:{grpc}",
            f"http://127.0.0.1:{admin}",
            gateway.pid,
        )
        _until_ready(made)
        if pin:
            psutil.Process(gateway.pid).cpu_affinity([0])
        yield made


@contextlib.contextmanager
def _process(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, env={**os.environ, **variables}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _until_ready(made: Bench, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{made.admin}/readyz", timeout=2) as answer:
            if b'"mock":true' in answer.read().replace(b" ", b""):
                return
        time.sleep(0.1)
    raise TimeoutError("the gateway did not become ready")
