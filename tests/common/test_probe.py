"""What a container engine asks, and what it is told."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from tests.support.ports import free_ports


class Answering(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """A request is no news."""


@pytest.fixture
def port() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def probe(port: int, path: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.common.probe", "NARU_TEST__PORT", path],
        env={"NARU_TEST__PORT": str(port)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_service_that_answers_200_is_healthy(port: int) -> None:
    assert probe(port, "/readyz").returncode == 0


def test_a_service_that_answers_anything_else_is_not(port: int) -> None:
    found = probe(port, "/other")
    assert (found.returncode, found.stderr) == (1, "answered 503\n")


def test_a_service_that_does_not_answer_is_not() -> None:
    found = probe(free_ports(1)[0], "/readyz")
    assert found.returncode == 1
    assert found.stderr.startswith("no answer: ")
