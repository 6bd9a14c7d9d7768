"""Two real vLLM processes behind the gateway; the one that is answering is killed in the middle."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running, running
from tests.support.ports import free_ports

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

MODEL = "smollm2-135m-instruct"
QUESTION = {
    "model": MODEL, "temperature": 0, "max_tokens": 120, "stream": True, "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "Tell me how a ferry crosses a river, step by step."}],
}  # fmt: skip
STARTING = 240
"""Seconds two engines may take to start on a busy laptop."""


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[int, "subprocess.Popen[bytes]"]]:
    """By port; each a process group of its own, since vLLM's engine is a child of its server."""
    logs = tmp_path_factory.mktemp("engines")
    started = {}
    for port in free_ports(2):
        environment = {**os.environ, "NARU_LLM__PORT": str(port), "NARU_LLM__MAX_MODEL_LEN": "1024"}
        with (logs / f"{port}.log").open("wb") as log:
            started[port] = subprocess.Popen(
                [sys.executable, "-m", "services.llm"], env=environment, stdout=log, stderr=log, start_new_session=True
            )
    yield started
    for process in started.values():
        kill(process)
        process.wait()


def kill(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass
class Told:
    text: str
    chunks: list[dict[str, Any]]
    raw: bytes

    @property
    def usage(self) -> dict[str, int]:
        (found,) = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return {name: found[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


async def tell(gateway: Running, engines: "dict[int, subprocess.Popen[bytes]]", dies_after: int | None = None) -> Told:
    """The whole answer; the engine that gives it is killed once so many chunks of it are here."""
    raw, deadly = b"", dies_after
    async with gateway.http.stream("POST", "/v1/chat/completions", json=QUESTION) as answer:
        port = int(answer.headers["x-naru-endpoint"].rpartition(":")[2])
        async for piece in answer.aiter_bytes():
            raw += piece
            if deadly is not None and raw.count(b'"content"') > deadly:
                deadly = None
                kill(engines[port])
    lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n")]
    chunks = [json.loads(line) for line in lines if line.startswith(b"{")]
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    return Told("".join(choice["delta"].get("content") or "" for choice in choices), chunks, raw)


async def test_an_answer_survives_its_engine(
    engines: "dict[int, subprocess.Popen[bytes]]", tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    urls = [f"http://127.0.0.1:{port}" for port in engines]
    registry = {"models": {MODEL: {"task": "chat", "versions": {"v1": {"endpoints": urls}}}}}
    async with running(registry, tmp_path, healthy=False) as gateway:
        gateway.http.timeout = httpx.Timeout(120)
        async with asyncio.timeout(STARTING):
            while not all(endpoint.healthy for endpoint in gateway.gateway.health.rounds.followed):
                assert all(process.poll() is None for process in engines.values())
                await asyncio.sleep(0.5)
        whole = await tell(gateway, engines)
        again = await tell(gateway, engines)
        saved = await tell(gateway, engines, dies_after=40)
        with capsys.disabled():
            print(f"\nuninterrupted, twice the same text: {whole.text == again.text}; {whole.usage}")
            print(f"killed and continued, the same text: {whole.text == saved.text}; {saved.usage}")
        assert saved.raw.endswith(b"data: [DONE]\n\n")
        assert b"event: error" not in saved.raw
        assert len({chunk["id"] for chunk in saved.chunks}) == 1
        choices = [choice for chunk in saved.chunks for choice in chunk["choices"]]
        assert [choice["finish_reason"] for choice in choices if choice["finish_reason"]] == ["length"]
        assert [choice["delta"]["role"] for choice in choices if "role" in choice["delta"]] == ["assistant"]
        assert saved.usage == whole.usage  # the same prompt, and max_tokens over both engines
        assert await gateway.value("naru_migrations_total", outcome="continued") == 1
        assert await gateway.outcome("ok") == 3
        for process in engines.values():
            kill(process)
        async with asyncio.timeout(10):
            while any(endpoint.idle for endpoint in gateway.gateway.health.rounds.followed):
                await asyncio.sleep(0.05)
