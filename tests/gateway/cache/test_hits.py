"""A hit is the answer that made it, byte for byte, and costs nobody a token."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.cache.asking import ASK, CHAT, STREAM, answering, ask, cached
from tests.support.engine import Received, Wire, delta, engine, event, hello
from tests.support.gateway import chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

OWN = {"x-naru-cache", "x-request-id", "date"}
"""Headers of the request that is answered, not of the answer."""


@pytest.mark.parametrize("body", [ASK, STREAM], ids=["whole", "streamed"])
async def test_a_hit_is_the_answer_that_made_it_byte_for_byte(tmp_path: Path, body: dict[str, Any]) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        first, second = await ask(gateway, body), await ask(gateway, body)
        assert (first.headers["x-naru-cache"], second.headers["x-naru-cache"]) == ("miss", "hit")
        assert first.content == second.content
        made, given = ({k: v for k, v in answer.headers.items() if k not in OWN} for answer in (first, second))
        assert made == given
        assert len(one.received) == 1


async def test_a_stream_without_usage_is_given_again_without_usage(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        asked = {**STREAM, "stream_options": {"include_usage": True}}
        bare, full = await ask(gateway, STREAM), await ask(gateway, asked)
        assert (b"usage" in bare.content, b"usage" in full.content) == (False, True)
        assert (await ask(gateway, STREAM)).content == bare.content
        assert (await ask(gateway, asked)).content == full.content
        assert len(one.received) == 2


async def test_a_hit_is_an_ok_request_that_used_no_tokens(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        for _ in range(3):
            await ask(gateway, STREAM)
        await gateway.until_outcome("ok", 3)
        samples = await gateway.samples()
        assert samples.sum("naru_requests_total", model="m", version="v1", outcome="ok") == 3
        assert samples.sum("gen_ai_server_time_to_first_token_seconds_count", version="v1", stream="true") == 3
        assert samples.sum("naru_tokens_total", type="output") == 2
        assert samples.sum("naru_cache_requests_total", model="m", result="hit") == 2
        assert samples.sum("naru_cache_requests_total", model="m", result="miss") == 1
        assert samples.sum("naru_cache_entries", model="m") == 1
        assert samples.sum("naru_inflight_requests", model="m") == 0


async def test_a_hit_needs_no_engine_and_no_turn(tmp_path: Path) -> None:
    async def hangs(_: Received, wire: Wire) -> None:
        await asyncio.sleep(30)

    async with engine(answering()) as one:
        registry = chat_registry(one.url, cache={}, admission={"concurrency": 1, "queue": 0})
        async with running(registry, tmp_path) as gateway:
            first = await ask(gateway)
            one.script = hangs
            busy = asyncio.create_task(gateway.http.post(CHAT, json={**ASK, "seed": 8}))
            async with asyncio.timeout(30):
                while len(one.received) < 2:
                    await asyncio.sleep(0.01)
            assert (await ask(gateway)).content == first.content
            busy.cancel()


async def test_a_model_without_a_cache_says_nothing_of_one(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(chat_registry(one.url), tmp_path) as gateway:
        for _ in range(2):
            assert "x-naru-cache" not in (await ask(gateway)).headers
        assert len(one.received) == 2
        assert await gateway.value("naru_cache_requests_total") == 0


async def test_a_sign_of_life_is_no_part_of_the_answer(tmp_path: Path) -> None:
    async def late(request: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await hello(request, wire)

    settings = {"comment_interval": 0.1}
    async with engine(late) as one, running(cached(one.url), tmp_path, resilience=settings) as gateway:
        first, second = await ask(gateway, STREAM), await ask(gateway, STREAM)
        assert second.headers["x-naru-cache"] == "hit"
        assert b": keep-alive" in first.content
        assert first.content.replace(b": keep-alive\n\n", b"") == second.content


async def test_identical_requests_at_once_each_go_to_an_engine(tmp_path: Path) -> None:
    async def slow(request: Received, wire: Wire) -> None:
        await asyncio.sleep(0.1)
        await hello(request, wire)

    async with engine(slow) as one, running(cached(one.url), tmp_path) as gateway:
        answers = await asyncio.gather(*(ask(gateway, STREAM) for _ in range(5)))
        assert {answer.headers["x-naru-cache"] for answer in answers} == {"miss"}
        assert len(one.received) == 5
        assert await gateway.value("naru_cache_entries") == 1


async def test_a_client_that_reads_slowly_gets_all_of_a_hit(tmp_path: Path) -> None:
    async def long(_: Received, wire: Wire) -> None:
        await wire.head()
        for _i in range(300):
            await wire.chunk(event(delta(content="x" * 10_000)))
        await wire.events("[DONE]")
        await wire.last()

    async with engine(long) as one, running(cached(one.url), tmp_path) as gateway:
        first = await ask(gateway, STREAM)
        got = b""
        async with gateway.http.stream("POST", CHAT, json=STREAM) as answer:
            assert answer.headers["x-naru-cache"] == "hit"
            await asyncio.sleep(0.3)
            async for piece in answer.aiter_raw():
                got += piece
        assert got == first.content
        await gateway.until_outcome("ok", 2)


TASKS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "sentiment": ("/v1/sentiment", {"input": ["a"]}, {"model": "m", "version": "v1", "results": []}),
    "recommendation": ("/v1/recommendations", {"user_id": "1"}, {"model": "m", "version": "v1", "items": []}),
    "embedding": ("/v1/embeddings", {"model": "m", "input": "a"}, {"data": [{"embedding": [1.0]}]}),
}


@pytest.mark.parametrize("task", TASKS)
async def test_a_task_models_answers_are_always_kept(tmp_path: Path, task: str) -> None:
    path, body, answer = TASKS[task]

    async def script(_: Received, wire: Wire) -> None:
        await wire.whole(200, answer)

    async with engine(script) as one:
        registry = {"models": {"m": {"task": task, "versions": {"v1": {"endpoints": [one.url]}}, "cache": {}}}}
        async with running(registry, tmp_path) as gateway:
            first, second = await ask(gateway, body, path), await ask(gateway, body, path)
            assert (first.headers["x-naru-cache"], second.headers["x-naru-cache"]) == ("miss", "hit")
            assert first.content == second.content
            assert len(one.received) == 1


async def test_a_full_model_overflows_only_what_is_not_kept(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def held(request: Received, wire: Wire) -> None:
        await release.wait()
        await hello(request, wire)

    async with engine(answering()) as one, engine(answering()) as two:
        limits = {"concurrency": 1, "queue": 0, "overflow": True}
        registry = chat_registry(one.url, cache={}, fallback=["other"], admission=limits)
        registry["models"]["other"] = {"task": "chat", "versions": {"v1": {"endpoints": [two.url]}}}
        async with running(registry, tmp_path) as gateway:
            first = await ask(gateway)
            one.script = held
            busy = asyncio.create_task(ask(gateway, {**STREAM, "seed": 8}))
            async with asyncio.timeout(30):
                while len(one.received) < 2:
                    await asyncio.sleep(0.01)
            assert (await ask(gateway)).content == first.content
            away = [await ask(gateway, {**ASK, "seed": 9}) for _ in range(2)]
            assert [(a.headers["x-naru-model"], a.headers["x-naru-cache"]) for a in away] == [("other", "miss")] * 2
            release.set()
            assert (await busy).headers["x-naru-model"] == "m"
            await gateway.until_outcome("ok", 5)
            assert await gateway.value("naru_inflight_requests") == 0
