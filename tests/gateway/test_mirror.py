"""A shadow version gets copies; the client's own request neither waits for one nor fails with one."""

import asyncio
from pathlib import Path
from typing import Any

from services.gateway.policy.keyfile import Key, digest
from tests.support.engine import Received, Wire, delta, engine, hello
from tests.support.gateway import Running, running

ASK = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


def registry(url: str, shadow: str, percent: float = 100) -> dict[str, Any]:
    versions = {"v1": {"endpoints": [url]}, "next": {"endpoints": [shadow], "weight": 0, "mirror": percent}}
    return {"models": {"m": {"task": "chat", "versions": versions}}}


async def ask(gateway: Running, **headers: str) -> str:
    answer = await gateway.http.post("/v1/chat/completions", json=ASK, headers=headers)
    assert answer.status_code == 200
    assert "data: [DONE]" in answer.text
    version: str = answer.headers["x-naru-version"]
    return version


async def until_mirrored(gateway: Running, outcome: str, count: float) -> None:
    async with asyncio.timeout(30):
        while await gateway.value("naru_mirrored_requests_total", version="next", outcome=outcome) < count:
            await asyncio.sleep(0.02)


async def test_a_copy_is_measured_and_charged_to_nobody(tmp_path: Path) -> None:
    async with engine() as one, engine() as shadow, running(registry(one.url, shadow.url), tmp_path) as gateway:
        assert await ask(gateway) == "v1"
        await until_mirrored(gateway, "ok", 1)
        assert shadow.received[0].body == one.received[0].body
        assert await gateway.value("naru_mirrored_request_duration_seconds_count", model="m", version="next") == 1
        assert await gateway.value("naru_requests_total", version="next") == 0
        assert await gateway.value("naru_tokens_total", version="next") == 0
        assert await gateway.outcome("ok", version="v1") == 1


async def test_a_share_is_copied(tmp_path: Path) -> None:
    async with engine() as one, engine() as shadow:
        async with running(registry(one.url, shadow.url, 20), tmp_path, seed=1) as gateway:
            for _ in range(200):
                await ask(gateway)
        assert 15 < len(shadow.received) < 70  # 40 expected; beyond four standard deviations


async def test_a_shadow_answers_who_names_it_and_gets_no_copy_of_that(tmp_path: Path) -> None:
    async with engine() as one, engine() as shadow, running(registry(one.url, shadow.url), tmp_path) as gateway:
        assert await ask(gateway, **{"x-naru-version": "next"}) == "next"
        assert (len(one.received), len(shadow.received)) == (0, 1)


async def test_a_shadow_that_hangs_holds_up_nobody(tmp_path: Path) -> None:
    async def hang(_: Received, wire: Wire) -> None:
        await asyncio.sleep(60)

    async with engine() as one, engine(hang) as shadow:
        settings = {"mirrored": 2}
        async with running(registry(one.url, shadow.url), tmp_path, routing=settings) as gateway:
            async with asyncio.timeout(30):
                for _ in range(5):
                    await ask(gateway)
            await until_mirrored(gateway, "skipped", 3)
            assert len(shadow.received) == 2
            assert await gateway.outcome("ok") == 5
        await asyncio.wait_for(shadow.left.wait(), 20)


async def test_what_becomes_of_a_copy_is_told_apart(tmp_path: Path) -> None:
    async def cut(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="Hel"))
        await wire.last()

    async def dies(_: Received, wire: Wire) -> None:
        wire.reset()

    async def refuses(_: Received, wire: Wire) -> None:
        await wire.whole(400, {"error": {"message": "no"}})

    async def breaks(_: Received, wire: Wire) -> None:
        await wire.whole(500, {})

    async with engine() as one, engine(hello) as shadow, running(registry(one.url, shadow.url), tmp_path) as gateway:
        for script, outcome in (
            (cut, "truncated"), (refuses, "engine_refused"), (breaks, "upstream_error"), (hello, "ok"),
        ):  # fmt: skip
            shadow.script = script
            await ask(gateway)
            await until_mirrored(gateway, outcome, 1)
        shadow.script = dies
        await ask(gateway)
        await until_mirrored(gateway, "upstream_error", 2)
        assert await gateway.outcome("ok") == 5
        shadow.healthy = False
        async with asyncio.timeout(30):
            while any(e.healthy for e in gateway.gateway.health.rounds.followed if e.version == "next"):
                await asyncio.sleep(0.01)
        await ask(gateway)
        await until_mirrored(gateway, "no_healthy_endpoint", 1)


async def test_what_a_limit_refuses_is_not_copied(tmp_path: Path) -> None:
    key = Key(name="a", tenant="shop", sha256=digest("sk-a"), requests_per_minute=1)
    async with (
        engine() as one, engine() as shadow,
        running(registry(one.url, shadow.url), tmp_path, keys=[key]) as gateway,
    ):  # fmt: skip
        for status in (200, 429):
            headers = {"authorization": "Bearer sk-a"}
            answer = await gateway.http.post("/v1/chat/completions", json=ASK, headers=headers)
            assert answer.status_code == status
        assert await ask(gateway) == "v1"  # by another key
        await until_mirrored(gateway, "ok", 2)
        assert (len(one.received), len(shadow.received)) == (2, 2)


async def test_what_is_answered_from_the_cache_is_not_copied(tmp_path: Path) -> None:
    async with engine() as one, engine() as shadow:
        cached = registry(one.url, shadow.url)
        cached["models"]["m"]["cache"] = {"ttl": "60s"}
        async with running(cached, tmp_path) as gateway:
            for result in ("miss", "hit", "bypass"):
                seed = {} if result == "bypass" else {"seed": 7}
                answer = await gateway.http.post("/v1/chat/completions", json=ASK | {"temperature": 0, **seed})
                assert answer.headers["x-naru-cache"] == result
            await until_mirrored(gateway, "ok", 2)
            assert (len(one.received), len(shadow.received)) == (2, 2)
