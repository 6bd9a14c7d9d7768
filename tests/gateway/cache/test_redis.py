"""Answers kept in a real Redis: shared by gateways, within the bound together, and never what a request waits for."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.cache.asking import ASK, OTHER, OTHER_KEY, STREAM, WHOLE, answering, ask, cached, said
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import Running, running
from tests.support.redis import Server, needs_redis, redis_server, slowed

pytestmark = needs_redis

TIMEOUT = 0.2
PATIENT = 2.0
"""Seconds: a test that is about something else must not find Redis away because the machine is busy."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis_server(tmp_path) as server:
        yield server


def using(url: str, timeout: float = PATIENT) -> dict[str, Any]:
    """Settings of a gateway that keeps answers there."""
    return {"cache": {"store": "redis"}, "redis": {"url": url, "timeout": timeout}}


async def until_kept(gateway: Running, entries: int = 1) -> None:
    """An answer is kept beside the requests: its client does not wait for it."""
    async with asyncio.timeout(30):
        while await gateway.value("naru_cache_entries") < entries:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
async def test_one_gateway_gives_what_another_one_kept(tmp_path: Path, redis: Server, body: dict[str, Any]) -> None:
    settings = using(redis.url)
    async with engine(answering()) as one:
        async with running(cached(one.url), tmp_path, **settings) as gateway:
            first = await ask(gateway, body)
            await until_kept(gateway)
        async with running(cached(one.url), tmp_path, **settings, keys=[OTHER_KEY]) as gateway:
            second = await ask(gateway, body)
            assert (second.headers["x-naru-cache"], second.content) == ("hit", first.content)
            stranger = await ask(gateway, body, authorization=f"Bearer {OTHER}")
            assert stranger.headers["x-naru-cache"] == "miss"


async def test_two_gateways_stay_within_the_bound_together(tmp_path: Path, redis: Server) -> None:
    async def long(_: Received, wire: Wire) -> None:
        await wire.whole(200, {**WHOLE, "text": "x" * 3000})

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    async with engine(long) as one:
        registry = cached(one.url, bytes="64KiB")
        async with (
            running(registry, tmp_path / "a", **using(redis.url)) as a,
            running(registry, tmp_path / "b", **using(redis.url)) as b,
        ):
            await ask(a, {**ASK, "seed": 0})
            await until_kept(a)
            for seed in range(1, 30):
                await asyncio.gather(ask(a, {**ASK, "seed": seed}), ask(b, {**ASK, "seed": -seed}))
                assert await said(b, {**ASK, "seed": 0}) == "hit"  # used again and again
        async with redis.client() as client:
            taken = [await client.memory_usage(key) for key in await client.keys("*:cache:*")]
        assert 45_000 < sum(taken) <= 64 * 2**10


async def test_a_kept_answer_ends_with_its_time_and_leaves_nothing(tmp_path: Path, redis: Server) -> None:
    async with (
        engine(answering()) as one,
        running(cached(one.url, ttl="1s"), tmp_path, **using(redis.url)) as gateway,
    ):
        first = await ask(gateway)
        await until_kept(gateway)
        assert (await ask(gateway)).content == first.content
        await asyncio.sleep(1.1)
        async with redis.client() as client:
            assert await client.keys("*:cache:*") == []
        assert await said(gateway) == "miss"


async def test_without_redis_requests_are_answered_and_later_kept_again(tmp_path: Path, redis: Server) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path, **using(redis.url)) as gateway:
        await ask(gateway)
        await until_kept(gateway)
        assert await said(gateway) == "hit"
        redis.stop()
        assert [await said(gateway) for _ in range(3)] == ["bypass"] * 3
        assert await gateway.value("naru_cache_requests_total", result="unavailable") == 3
        await redis.start()
        async with asyncio.timeout(30):
            while await said(gateway) != "hit":
                await asyncio.sleep(0.1)


async def test_that_redis_is_away_is_logged_once_and_without_its_password(
    tmp_path: Path, redis: Server, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine(answering()) as one:
        url = redis.url.replace("redis://", "redis://:s3cret-word@")
        redis.stop()
        async with running(cached(one.url), tmp_path, **using(url)) as gateway:
            for _ in range(3):
                assert await said(gateway) == "bypass"
            await asyncio.sleep(1.1)  # it is asked again, and is still away
            assert await said(gateway) == "bypass"
        assert [r.message for r in caplog.records if r.name == "naru.cache"] == ["the cache's Redis does not answer"]
        assert "s3cret-word" not in caplog.text


async def test_a_slow_redis_holds_a_request_up_for_no_longer_than_its_timeout(tmp_path: Path, redis: Server) -> None:
    async with (
        engine(answering()) as one,
        slowed(redis.port, 2.0) as url,
        running(cached(one.url), tmp_path, **using(url, TIMEOUT)) as gateway,
    ):
        began = time.monotonic()
        assert await said(gateway) == "bypass"
        held = time.monotonic() - began
        assert TIMEOUT <= held < 1.9  # before Redis would have answered


async def test_a_full_redis_keeps_nothing_new_and_gives_what_it_has(tmp_path: Path, redis: Server) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path, **using(redis.url)) as gateway:
        first = await ask(gateway)
        await until_kept(gateway)
        await redis.set("maxmemory", "1")
        assert (await ask(gateway)).content == first.content
        other = {**ASK, "seed": 8}
        assert [await said(gateway, other) for _ in range(2)] == ["miss", "miss"]


async def test_what_is_no_answer_is_a_miss(tmp_path: Path, redis: Server) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path, **using(redis.url)) as gateway:
        await ask(gateway)
        await until_kept(gateway)
        async with redis.client() as client:
            for key in await client.keys("*:cache:*"):
                if await client.type(key) == b"string":
                    await client.set(key, b"\xff\x00 something else")
        assert await said(gateway) == "miss"


async def test_a_client_that_leaves_while_redis_is_asked_is_counted_as_gone(tmp_path: Path, redis: Server) -> None:
    async with (
        engine(answering()) as one, slowed(redis.port, 5.0) as url,
        running(cached(one.url), tmp_path, **using(url, 4.0)) as gateway,
    ):  # fmt: skip
        asking = asyncio.create_task(ask(gateway))
        async with asyncio.timeout(30):
            while not await gateway.value("naru_inflight_requests"):
                await asyncio.sleep(0.01)
        asking.cancel()
        await gateway.until_outcome("client_cancelled")
        await asyncio.sleep(0.5)
        assert one.received == []
        assert await gateway.value("naru_inflight_requests") == 0
