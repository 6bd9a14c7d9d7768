"""An engine dies and comes back while 50 streams run on three: no client notices, and it is used again at once."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

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


async def test_no_client_sees_a_restart(tmp_path: Path) -> None:
    async with three(tmp_path) as (gateway, engines):
        gateway.http.timeout = httpx.Timeout(60)
        enough, answers = asyncio.Event(), list[httpx.Response]()
        clients = [asyncio.create_task(load(gateway, enough, answers)) for _ in range(STREAMS)]
        await asyncio.sleep(1)
        engines[0].stop()
        await asyncio.sleep(1.5)
        before = len(engines[0].received)
        await engines[0].start()
        began = time.monotonic()
        async with asyncio.timeout(10):
            while len(engines[0].received) == before:
                await asyncio.sleep(0.01)
        back = time.monotonic() - began
        await asyncio.sleep(0.5)
        enough.set()
        await asyncio.gather(*clients)

        assert back < 1 + 0.5  # a second, and what a busy machine may add
        assert {answer.status_code for answer in answers} == {200}
        for answer in answers:
            uninterrupted(answer.content)
        samples = await gateway.samples()
        assert samples.sum("naru_requests_total") == samples.sum("naru_requests_total", outcome="ok") == len(answers)
        assert samples.sum("naru_migrations_total", outcome="continued") > 0
        assert samples.sum("naru_tokens_total", type="output") == len(TEXT) * len(answers)
        assert samples.sum("naru_tokens_total", type="input") == PROMPT * len(answers)
        assert samples.sum("naru_endpoint_inflight") == 0
