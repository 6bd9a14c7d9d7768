"""The whole stack, started once per test run as a user starts it: real vLLM, real BentoML services, real gateway."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import anthropic
import httpx
import openai
import pytest
import uvloop

from tests.support.collector import Collector, collecting
from tests.support.ports import free_ports
from tests.support.samples import Samples, scrape

MODEL = "smollm2-135m-instruct"
KEY = "naru-stack-test"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """A gateway in a test's own process runs on the loop that a gateway runs on."""
    return {"uvloop": uvloop.new_event_loop}


@dataclass(frozen=True)
class Stack:
    gateway: str
    grpc: str
    admin: str
    llm: str
    sentiment: str
    recommendation: str
    collector: Collector
    """Of the traces that a request comes in; none begins here."""

    @property
    def key(self) -> str:
        return KEY

    def samples(self) -> Samples:
        return scrape(self.admin)


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as made:
        yield made


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("stack")
    http, grpc, admin, llm, sentiment, recommendation = free_ports(6)
    environment = {
        **os.environ, "NARU_API_KEY": KEY, "XDG_STATE_HOME": str(home / "state"),
        "NARU_GATEWAY__HTTP__PORT": str(http), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__ADMIN__PORT": str(admin),
        "NARU_LLM__PORT": str(llm), "NARU_SENTIMENT__PORT": str(sentiment),
        "NARU_RECOMMENDATION__PORT": str(recommendation),
        "NARU_GATEWAY__TRACING__ENDPOINT": collector.url, "NARU_GATEWAY__TRACING__SAMPLE": "0",
    }  # fmt: skip
    naru = [str(Path(sys.executable).with_name("naru"))]
    try:
        up = subprocess.run(
            [*naru, "up", "--detach"], env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        assert up.returncode == 0, f"naru up failed:\n{up.stdout[-4000:]}\n{up.stderr[-4000:]}"
        yield Stack(
            f"http://127.0.0.1:{http}", f"127.0.0.1:{grpc}", f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{llm}",
            f"http://127.0.0.1:{sentiment}", f"http://127.0.0.1:{recommendation}",
            collector,
        )  # fmt: skip
    finally:
        down = subprocess.run(
            [*naru, "down"], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert down.returncode == 0, down.stderr


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{stack.gateway}/v1", api_key=KEY, max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture
def claude(stack: Stack) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=stack.gateway, api_key=KEY, max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture
def http(stack: Stack) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=stack.gateway, headers={"authorization": f"Bearer {KEY}"}, timeout=120) as made:
        yield made


def events(raw: bytes) -> list[dict[str, object]]:
    """The JSON payloads of a chat stream."""
    lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n") if line.startswith(b"data: {")]
    return [json.loads(line) for line in lines]
