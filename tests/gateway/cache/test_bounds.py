"""A cache stays within its bytes and its time."""

import asyncio
from pathlib import Path

import pytest

from tests.gateway.cache.asking import ASK, WHOLE, answering, ask, cached, said
from tests.support.engine import Received, Wire, delta, engine, event
from tests.support.gateway import running

pytestmark = pytest.mark.usefixtures("carrier")


async def test_a_kept_answer_ends_with_its_time(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url, ttl="300ms"), tmp_path) as gateway:
        first = await ask(gateway)
        await asyncio.sleep(0.35)
        again = await ask(gateway)
        assert again.headers["x-naru-cache"] == "miss"
        assert again.content != first.content


async def test_what_is_used_least_makes_room(tmp_path: Path) -> None:
    async def long(_: Received, wire: Wire) -> None:
        await wire.whole(200, {**WHOLE, "text": "x" * 3000})

    async with engine(long) as one, running(cached(one.url, bytes="64KiB"), tmp_path) as gateway:
        for seed in range(40):
            await ask(gateway, {**ASK, "seed": seed})
            assert await said(gateway, {**ASK, "seed": 0}) == "hit"  # used again and again
        samples = await gateway.samples()
        assert 50_000 < samples.sum("naru_cache_bytes", model="m") <= 64 * 2**10
        assert samples.sum("naru_cache_entries", model="m") < 20
        assert await said(gateway, {**ASK, "seed": 1}) == "miss"
        assert await said(gateway, {**ASK, "seed": 39}) == "hit"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_too_large_for_the_cache_is_passed_on_all_the_same(tmp_path: Path, stream: bool) -> None:
    async def huge(_: Received, wire: Wire) -> None:
        if not stream:
            await wire.whole(200, {**WHOLE, "text": "x" * 9000})
            return
        await wire.head()
        for _i in range(90):
            await wire.chunk(event(delta(content="x" * 100)))
        await wire.events("[DONE]")
        await wire.last()

    body = {**ASK, "stream": stream}
    async with engine(huge) as one, running(cached(one.url, bytes="64KiB"), tmp_path) as gateway:
        first, second = await ask(gateway, body), await ask(gateway, body)
        assert second.headers["x-naru-cache"] == "miss"
        assert first.content == second.content
        assert len(first.content) > 9000
