"""An engine dies and comes back while 50 streams run on three: no client notices, and it is used again at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.test_migration import CHAT, PROMPT, TEXT, Writer, uninterrupted
from tests.support.engine import Engine, engine
from tests.support.gateway import Running, running

STREAMS = 50


@contextlib.asynccontextmanager
async def three(folder: Path) -> AsyncIterator[tuple[Running, list[Engine]]]:
    async with contextlib.AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(engine(Writer(name, pace=0.01))) for name in "abc"]
        urls = [each.url for each in engines]
        registry = {"models": {"m": {"task": "chat", "versions": {"v1": {"endpoints": urls}}}}}
        # As it is by default, but for the tests' own quick health checks.
        yield await stack.enter_async_context(running(registry, folder, upstream={"health_interval": 2.0})), engines


async def load(gateway: Running, until: asyncio.Event, answers: list[httpx.Response]) -> None:
    while not until.is_set():
        answers.append(await gateway.http.post("/v1/chat/completions", json=CHAT))


async def back_in_use(restarted: Engine) -> tuple[float, float]:
    """Seconds until it was asked how it is, and from its answer to its first request."""
    requests, checks = len(restarted.received), len(restarted.checks)
    await restarted.start()
    began = time.monotonic()
    async with asyncio.timeout(30):
        while len(restarted.received) == requests:
            await asyncio.sleep(0.01)
    answered = restarted.checks[checks]
    return answered - began, time.monotonic() - answered


async def test_no_client_sees_a_restart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with three(tmp_path) as (gateway, engines):
        gateway.http.timeout = httpx.Timeout(60)
        enough, answers = asyncio.Event(), list[httpx.Response]()
        clients = [asyncio.create_task(load(gateway, enough, answers)) for _ in range(STREAMS)]
        await asyncio.sleep(1)
        engines[0].stop()
        await asyncio.sleep(1.5)
        found, used = await back_in_use(engines[0])
        await asyncio.sleep(0.5)
        enough.set()
        await asyncio.gather(*clients)

        with capsys.disabled():
            print(f"\nan engine that is back is found after {found:.3f} s and used {used:.3f} s later")
        assert used < 1
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            uninterrupted(answer.content)
        samples = await gateway.samples()
        assert samples.sum("naru_requests_total") == samples.sum("naru_requests_total", outcome="ok") == len(answers)
        assert samples.sum("naru_migrations_total", outcome="continued") > 0
        assert samples.sum("naru_tokens_total", type="output") == len(TEXT) * len(answers)
        assert samples.sum("naru_tokens_total", type="input") == PROMPT * len(answers)
        assert samples.sum("naru_endpoint_inflight") == 0
