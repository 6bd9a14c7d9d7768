"""Limits that gateways share through a real Redis, and what becomes of them when it is away."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.policy.keyfile import Key, digest
from tests.support.engine import Engine, Received, Wire, delta, engine, hello
from tests.support.gateway import Running, chat_registry, running
from tests.support.redis import Server, needs_redis, redis_server, slowed

pytestmark = needs_redis

HEADERS = {"authorization": "Bearer sk-a"}
STREAM: dict[str, Any] = {"model": "m", "messages": [], "stream": True}
PATIENT = 2.0
"""Seconds: a test that is about something else must not find Redis away because the machine is busy."""


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Server]:
    async with redis_server(tmp_path) as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[Engine]:
    async with engine() as made:
        yield made


def key(**limits: Any) -> Key:
    return Key(name="a", tenant="shop", sha256=digest("sk-a"), **limits)


@contextlib.asynccontextmanager
async def gateway(
    upstream: Engine, folder: Path, url: str, limits: dict[str, int], *, wait: float = PATIENT, away: str = "open",
    lease: float = 30,
) -> AsyncIterator[Running]:  # fmt: skip
    settings: dict[str, Any] = {"redis": {"url": url, "timeout": wait}, "limits": {"redis_away": away, "lease": lease}}
    async with running(chat_registry(upstream.url), folder, keys=[key(**limits)], **settings) as made:
        yield made


async def ask(gateway: Running) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json=STREAM, headers=HEADERS)


async def until_up(gateway: Running, up: float, seconds: float = 30.0) -> None:
    async with asyncio.timeout(seconds):
        while await gateway.value("naru_limits_backend_up") != up:
            await asyncio.sleep(0.02)


async def test_two_gateways_together_admit_no_more_than_the_limit(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    limits = {"requests_per_minute": 30}
    async with (
        gateway(upstream, tmp_path, redis.url, limits) as one,
        gateway(upstream, tmp_path, redis.url, limits) as two,
    ):
        answers = await asyncio.gather(*(ask(either) for _ in range(30) for either in (one, two)))
        assert sorted(answer.status_code for answer in answers) == [200] * 30 + [429] * 30
        assert len(upstream.received) == 30
        refused = [answer for answer in answers if answer.status_code == 429]
        assert all(1 <= int(answer.headers["retry-after"]) <= 61 for answer in refused)
        assert {answer.headers["x-ratelimit-remaining-requests"] for answer in refused} == {"0"}
        left = {
            int(answer.headers["x-ratelimit-remaining-requests"]) for answer in answers if answer.status_code == 200
        }
        assert left == set(range(30))


@pytest.mark.parametrize("limit", ["tokens_per_minute", "tokens_per_day"])
async def test_tokens_used_at_one_gateway_count_at_the_other(
    limit: str, redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    async with (
        gateway(upstream, tmp_path, redis.url, {limit: 7}) as one,
        gateway(upstream, tmp_path, redis.url, {limit: 7}) as two,
    ):
        assert (await ask(one)).status_code == 200  # seven tokens
        async with asyncio.timeout(30):
            while (answer := await ask(two)).status_code == 200:
                await asyncio.sleep(0.02)
        assert answer.headers["x-naru-limit"] == f"key/{limit}"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "0"


async def hang(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="Hel"))
    await asyncio.sleep(30)


@contextlib.asynccontextmanager
async def streaming(gateway: Running) -> AsyncIterator[None]:
    async with gateway.http.stream("POST", "/v1/chat/completions", json=STREAM, headers=HEADERS) as answer:
        assert answer.status_code == 200
        pieces = answer.aiter_bytes()
        await anext(pieces)
        yield


async def test_a_stream_at_one_gateway_counts_at_the_other_until_its_client_leaves(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    upstream.script = hang
    async with (
        gateway(upstream, tmp_path, redis.url, {"concurrent_streams": 1}) as one,
        gateway(upstream, tmp_path, redis.url, {"concurrent_streams": 1}) as two,
    ):
        async with streaming(one):
            assert (await ask(two)).headers["x-naru-limit"] == "key/concurrent_streams"
        upstream.script = hello
        async with asyncio.timeout(30):
            while (await ask(two)).status_code == 429:
                await asyncio.sleep(0.02)


async def test_the_streams_of_a_gateway_that_died_end_with_their_lease_and_others_are_renewed(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    upstream.script = hang
    async with (
        gateway(upstream, tmp_path, redis.url, {"concurrent_streams": 2}, lease=3) as living,
        redis.client() as client,
        streaming(living),
    ):
        streams = "naru:{shop}:key:a:s"
        now = time.time()
        await client.zadd(streams, {"dead-1": now + 3})
        assert (await ask(living)).status_code == 429
        upstream.script = hello
        async with asyncio.timeout(30):
            while (await ask(living)).status_code == 429:
                await asyncio.sleep(0.1)
        assert time.time() - now > 2.5
        await asyncio.sleep(1)  # the living one's is past its first lease
        assert await client.zcount(streams, time.time(), "+inf") >= 1


@pytest.mark.parametrize(("away", "status"), [("open", 200), ("closed", 503)])
async def test_while_redis_is_away_requests_are_let_in_or_refused_as_configured_and_limits_come_back(
    away: str, status: int, *, redis: Server, upstream: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "naru.limits")
    async with gateway(upstream, tmp_path, redis.url, {"requests_per_minute": 2}, away=away) as made:
        assert (await ask(made)).status_code == 200
        redis.stop()
        assert [(await ask(made)).status_code for _ in range(5)] == [status] * 5
        await until_up(made, 0)
        unlimited = await made.http.post("/v1/chat/completions", json=STREAM)
        assert unlimited.status_code == 200
        await redis.start()
        await until_up(made, 1)
        assert [(await ask(made)).status_code for _ in range(3)] == [200, 200, 429]
    turns = [record.message for record in caplog.records if record.name == "naru.limits"]
    assert turns == ["Redis is away: limits are not counted", "Redis is back: limits are counted again"]


async def test_a_slow_redis_holds_no_request_up_for_longer_than_its_bound(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    async with (
        slowed(redis.port, 2.0) as url,
        gateway(upstream, tmp_path, url, {"requests_per_minute": 1}, wait=0.05, away="closed") as made,
    ):
        began = time.monotonic()
        answers = await asyncio.gather(*(ask(made) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {503}
        assert time.monotonic() - began < 1.9  # less than Redis takes
        assert answers[0].headers["retry-after"] == "1"


async def test_a_full_redis_is_as_good_as_none_until_there_is_room(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    async with gateway(upstream, tmp_path, redis.url, {"requests_per_minute": 2}) as made:
        await redis.set("maxmemory", "1")
        assert [(await ask(made)).status_code for _ in range(4)] == [200] * 4
        await until_up(made, 0)
        await redis.set("maxmemory", "0")
        await until_up(made, 1)
        assert [(await ask(made)).status_code for _ in range(3)] == [200, 200, 429]


async def test_a_redis_that_was_never_there(upstream: Engine, tmp_path: Path) -> None:
    async with gateway(upstream, tmp_path, "redis://127.0.0.1:9/0", {"requests_per_minute": 1}) as made:
        assert [(await ask(made)).status_code for _ in range(3)] == [200] * 3
        assert await made.value("naru_limits_backend_up") == 0


async def test_usage_of_all_gateways_is_one(redis: Server, upstream: Engine, tmp_path: Path) -> None:
    async with gateway(upstream, tmp_path, redis.url, {}) as one, gateway(upstream, tmp_path, redis.url, {}) as two:
        for made in (one, two):
            assert (await ask(made)).status_code == 200
            made.gateway.flush()
            await made.gateway.accounts.ledger.flush()
        assert (await one.gateway.accounts.ledger.tokens_today())["tenant:shop"] == 14


async def test_gateways_reserve_tokens_together_and_give_back_what_was_not_used(
    redis: Server, upstream: Engine, tmp_path: Path
) -> None:
    async def wait(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="Hel"))
        await asyncio.sleep(30)

    upstream.script = wait
    limits = {"tokens_per_minute": 600, "tokens_per_day": 10_000}
    async with (
        gateway(upstream, tmp_path, redis.url, limits) as one,
        gateway(upstream, tmp_path, redis.url, limits) as two,
    ):
        answers = [asyncio.create_task(ask(either)) for _ in range(5) for either in (one, two)]
        done, running_ = await asyncio.wait(answers, timeout=2.0)
        assert (len(done), len(running_)) == (8, 2)
        for each in running_:
            each.cancel()
        await asyncio.wait(running_)
        upstream.script = hello
        async with asyncio.timeout(30):
            while (answer := await ask(one)).status_code != 200:
                await asyncio.sleep(0.05)
        used = 600 - int(answer.headers["x-ratelimit-remaining-tokens"])
        assert 2 <= used < 100  # a prompt and a piece or two of each
