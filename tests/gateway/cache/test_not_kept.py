"""What was not whole, not one engine's, or not the model's own is given to nobody again."""

import asyncio
from pathlib import Path

import pytest

from tests.gateway.cache.asking import ASK, CHAT, STREAM, answering, ask, cached, said
from tests.support.engine import Received, Script, Wire, delta, engine, usage
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")


async def refuses(_: Received, wire: Wire) -> None:
    await wire.whole(400, {"error": {"message": "no"}})


async def breaks(_: Received, wire: Wire) -> None:
    await wire.whole(500, {})


async def dies(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(role="assistant", content=""), delta(content="Hel"))
    await asyncio.sleep(0.05)
    wire.reset()


async def stops(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="Hel"))
    await wire.last()


async def fails(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="Hel"), {"error": {"message": "out of memory"}}, "[DONE]")
    await wire.last()


async def gives_up(_: Received, wire: Wire) -> None:
    last = {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "abort"}]}
    await wire.head()
    await wire.events(delta(content="Hel"), last, usage(5, 1), "[DONE]")
    await wire.last()


async def cut(_: Received, wire: Wire) -> None:
    await wire.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id": "c"')
    wire.writer.close()


@pytest.mark.parametrize(("script", "stream"), [
    (refuses, False), (refuses, True), (breaks, False), (breaks, True), (dies, True), (stops, True), (fails, True),
    (gives_up, True), (cut, False),
])  # fmt: skip
async def test_an_answer_that_is_not_whole_is_not_kept(tmp_path: Path, script: Script, stream: bool) -> None:
    body = {**ASK, "stream": stream}
    async with engine(script) as one, running(cached(one.url), tmp_path) as gateway:
        await gateway.http.post(CHAT, json=body)
        one.script = answering()
        await _well(gateway)
        assert [await said(gateway, body) for _ in range(2)] == ["miss", "hit"]


async def _well(gateway: Running) -> None:
    async with asyncio.timeout(30):
        while not all(endpoint.available for endpoint in gateway.gateway.health.rounds.followed):
            await asyncio.sleep(0.02)


async def test_an_answer_whose_client_left_is_not_kept(tmp_path: Path) -> None:
    async def slow(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="Hel"))
        await asyncio.sleep(30)

    async with engine(slow) as one, running(cached(one.url), tmp_path) as gateway:
        async with gateway.http.stream("POST", CHAT, json=STREAM) as answer:
            async for line in answer.aiter_lines():
                assert "Hel" in line
                break
        await asyncio.wait_for(one.left.wait(), 20)
        one.script = answering()
        await gateway.until_outcome("client_cancelled")
        assert await said(gateway, STREAM) == "miss"


async def test_a_stream_that_moved_is_not_kept(tmp_path: Path) -> None:
    async def dying(request: Received, wire: Wire) -> None:
        if request.path == "/tokenize":
            await wire.whole(200, {"count": 3})
        elif request.json.get("continue_final_message"):
            await wire.head()
            await wire.events(delta(role="assistant", content=""), delta(content="lo"), usage(8, 1), "[DONE]")
            await wire.last()
        else:
            await dies(request, wire)

    async with engine(dying) as one, engine(dying) as two:
        registry = chat_registry(one.url, cache={})
        registry["models"]["m"]["versions"]["v1"]["endpoints"].append(two.url)
        async with running(registry, tmp_path) as gateway:
            assert b"lo" in (await ask(gateway, STREAM)).content
            assert await gateway.value("naru_migrations_total", outcome="continued") == 1
            assert await gateway.value("naru_cache_entries") == 0


async def test_another_models_answer_is_not_kept(tmp_path: Path) -> None:
    async with engine(answering()) as one, engine(answering()) as two:
        registry = chat_registry(one.url, cache={}, fallback=["other"])
        registry["models"]["other"] = {"task": "chat", "versions": {"v1": {"endpoints": [two.url]}}}
        async with running(registry, tmp_path) as gateway:
            one.stop()
            answer = await ask(gateway)
            assert (answer.headers["x-naru-model"], answer.headers["x-naru-cache"]) == ("other", "miss")
            assert await gateway.value("naru_cache_entries") == 0


async def test_an_answer_of_a_version_that_only_stood_in_is_not_kept(tmp_path: Path) -> None:
    async with engine(answering()) as one, engine(answering()) as spare:
        registry = chat_registry(one.url, spare.url, cache={})
        registry["models"]["m"]["versions"]["v2"]["weight"] = 0
        async with running(registry, tmp_path) as gateway:
            one.healthy = False
            async with asyncio.timeout(30):
                while (answer := await ask(gateway, {**ASK, "temperature": 1})).headers["x-naru-version"] != "v2":
                    await asyncio.sleep(0.05)
            answer = await ask(gateway)
            assert (answer.headers["x-naru-version"], answer.headers["x-naru-cache"]) == ("v2", "miss")
            assert await gateway.value("naru_cache_entries") == 0
            assert [await said(gateway, **{"x-naru-version": "v2"}) for _ in range(2)] == ["miss", "hit"]
