"""Another model answers where no endpoint of the one that was asked for can."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from services.gateway.policy.keyfile import Key
from tests.support.engine import Engine, Received, Wire, engine
from tests.support.gateway import Running, running

CHAT = {"stream": True, "model": "big", "messages": [{"role": "user", "content": "hi"}], "top_k": 5}
BIG_ONLY = Key(name="s", tenant="t", models=frozenset({"big"}), sha256=hashlib.sha256(b"sk-big").hexdigest())


async def down(_: Received, wire: Wire) -> None:
    await wire.whole(503, {})


async def slow(_: Received, __: Wire) -> None:
    await asyncio.sleep(30)


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Running, Engine, Engine]]:
    async with engine() as big, engine() as small:
        models = {
            "big": {"task": "chat", "versions": {"b1": {"endpoints": [big.url]}}, "fallback": ["small"]},
            "small": {"task": "chat", "versions": {"s1": {"endpoints": [small.url]}}},
        }
        limits = {"health_interval": 600, "first_byte_timeout": 0.3}
        async with running({"models": models}, folder, keys=[BIG_ONLY], upstream=limits) as gateway:
            yield gateway, big, small


async def test_the_fallback_answers_under_its_own_name(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, big, small):
        big.script = down
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.status_code == 200
        assert answer.headers["x-naru-model"] == "small"
        assert answer.headers["x-naru-version"] == "s1"
        assert small.received[0].json == {**CHAT, "model": "small", "stream_options": {"include_usage": True}}
        await gateway.until_outcome("ok")
        assert await gateway.value("naru_fallbacks_total", model="big", fallback="small") == 1
        assert await gateway.value("naru_retries_total", model="big", reason="503") == 1
        assert await gateway.value("naru_tokens_total", model="small") == 7
        assert await gateway.value("naru_inflight_requests") == 0


async def test_a_model_without_a_healthy_endpoint_falls_back_without_an_attempt(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, big, small):
        gateway.gateway.health.rounds.followed[0].healthy = False
        answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": False})
        assert answer.headers["x-naru-model"] == "small"
        assert (len(big.received), len(small.received)) == (0, 1)
        assert await gateway.value("naru_retries_total") == 0


async def test_a_key_gets_no_model_that_it_may_not_use(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, big, small):
        big.script = down
        key = {"authorization": "Bearer sk-big"}
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT, headers=key)
        assert answer.status_code == 503
        assert answer.headers["x-naru-model"] == "big"
        assert not small.received


async def test_a_version_that_was_asked_for_has_no_other(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, big, small):
        big.script = down
        version = {"x-naru-version": "b1"}
        assert (await gateway.http.post("/v1/chat/completions", json=CHAT, headers=version)).status_code == 503
        assert not small.received


async def test_a_timeout_is_not_handed_on(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, big, small):
        big.script = slow
        assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).status_code == 504
        assert not small.received
