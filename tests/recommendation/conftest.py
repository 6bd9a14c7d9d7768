"""One real model and one real BentoML server for the whole folder."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from services.recommendation.model import Recommender
from services.recommendation.settings import RecommendationSection
from services.recommendation.train import train
from tests.support.ports import free_ports


@pytest.fixture(scope="package")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models") / "movielens"


@pytest.fixture(scope="package")
def movielens(model_path: Path) -> Recommender:
    """The default model, trained as `prepare` trains it; the package with the data stays in the shared cache."""
    return train(RecommendationSection(model_path=model_path))


@pytest.fixture(scope="package")
def server_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "server.log"


@pytest.fixture(scope="package")
def server(movielens: Recommender, model_path: Path, server_log: Path) -> Iterator[str]:
    """Base URL of the service, started as a user starts it."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "services.recommendation"]
    extra = {"NARU_RECOMMENDATION__MODEL_PATH": str(model_path), "NARU_RECOMMENDATION__PORT": str(port)}
    with server_log.open("wb") as log:
        process = subprocess.Popen(command, env={**os.environ, **extra}, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_until_ready(url, process, server_log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()}")
