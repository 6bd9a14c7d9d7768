"""A real server of the sentiment service, started once for the tests that talk to one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_ports

_ROOT = Path(__file__).parents[2]
_DEADLINE = 60.0


def _wait_until_ready(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{address}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    pytest.fail(f"the server was not ready within {_DEADLINE:g} s:\n{log.read_text()[-4000:]}")


@pytest.fixture(scope="package")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sentiment") / "server.log"


@pytest.fixture(scope="package")
def server(server_log: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. Limits are lower than the default ones, so that a test can reach them quickly."""
    [port] = free_ports(1)
    environment = os.environ | {
        "NARU_SENTIMENT__MAX_TEXTS": "100",
        "NARU_SENTIMENT__MAX_CHARACTERS": "2000",
        "NARU_SENTIMENT__MAX_TOTAL_CHARACTERS": "10000",
        "NARU_SENTIMENT__MAX_BODY": "100000",
        "NARU_SENTIMENT__PORT": str(port),
        "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml")),
    }
    command = [sys.executable, "-m", "services.sentiment"]
    with server_log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=_ROOT, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_ready(process, address, server_log)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


@pytest.fixture
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server, timeout=30) as client:
        yield client
