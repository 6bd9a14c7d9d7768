"""What a deploy asks the gateway before anybody else does: the real script against the real gateway."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.local.install import ROOT
from tests.gateway.oip import models
from tests.support.engine import Engine, Received, Wire, delta, engine
from tests.support.gateway import KEY, Running, running


@dataclass(frozen=True)
class Served:
    gateway: Running
    llm: Engine
    sentiment: Engine


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with (
        engine(models.sentiment) as sentiment, engine(models.recommendation) as recommender, engine() as llm,
    ):  # fmt: skip
        registry = models.registry(sentiment.url, sentiment.url, recommender.url, llm.url)
        async with running(registry, tmp_path) as gateway:
            yield Served(gateway, llm, sentiment)


async def smoke(url: str, key: str = KEY, wait: int = 0) -> tuple[int | None, list[str]]:
    """Exit code, and the last lines of what it wrote."""
    process = await asyncio.create_subprocess_exec(
        "scripts/smoke.sh", url, cwd=ROOT, env={**os.environ, "NARU_API_KEY": key, "SMOKE_WAIT": str(wait)},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    written, _ = await process.communicate()
    return process.returncode, written.decode().splitlines()


def command_lines() -> str:
    """Of every process on this machine."""
    found = ""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found += file.read_text()
    return found


async def test_every_model_is_asked_once(served: Served) -> None:
    code, lines = await smoke(served.gateway.url)
    assert (code, sorted(lines)) == (0, [
        "smoke: 3 models answered", "smoke: m (chat) answered", "smoke: recommendation (recommendation) answered",
        "smoke: sentiment (sentiment) answered",
    ])  # fmt: skip
    assert await served.gateway.value("naru_requests_total", outcome="ok") == 3


async def test_a_model_without_an_endpoint_is_named(served: Served) -> None:
    served.sentiment.healthy = False
    async with asyncio.timeout(30):
        while (await served.gateway.http.get("/v1/models/sentiment")).json()["ready"]:
            await asyncio.sleep(0.02)
    code, lines = await smoke(served.gateway.url)
    assert (code, lines[-1]) == (1, "smoke: not ready: sentiment")


async def test_it_waits_for_a_model_that_is_not_ready_yet(served: Served) -> None:
    served.sentiment.healthy = False
    async with asyncio.timeout(30):
        while (await served.gateway.http.get("/v1/models/sentiment")).json()["ready"]:
            await asyncio.sleep(0.02)
    asked = asyncio.create_task(smoke(served.gateway.url, wait=60))
    await asyncio.sleep(0.5)
    served.sentiment.healthy = True
    assert (await asked)[0] == 0


async def test_a_stream_that_is_cut_is_no_answer(served: Served) -> None:
    async def cut(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="A f"))
        wire.reset()

    served.llm.script = cut
    code, lines = await smoke(served.gateway.url)
    assert (code, lines[-1]) == (1, "smoke: m (chat) did not answer as it should")


async def test_a_service_that_fails_is_named(served: Served) -> None:
    async def broken(_: Received, wire: Wire) -> None:
        await wire.whole(500, {"error": {"message": "out of order"}})

    served.sentiment.script = broken
    code, lines = await smoke(served.gateway.url)
    assert (code, lines[-1]) == (1, "smoke: sentiment (sentiment) did not answer as it should")


async def test_a_wrong_key_is_said_and_is_in_no_command_line(served: Served) -> None:
    process = asyncio.create_task(smoke(served.gateway.url, key="sk-wrong-key", wait=1))
    seen = ""
    while not process.done():
        seen += command_lines()
        await asyncio.sleep(0)  # a look between any two things that the gateway does: a call can't be over unseen
    code, lines = await process
    assert code != 0
    assert any("401" in line for line in lines)
    assert "/v1/models" in seen
    assert "sk-wrong-key" not in seen
