"""A client that leaves stops the engine, whatever the stage; no call is left behind."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.support.engine import Received, Script, Wire, delta, engine, usage
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")


async def before_the_head(_: Received, __: Wire) -> None:
    await asyncio.sleep(30)


async def before_the_first_token(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(role="assistant", content=""))
    await asyncio.sleep(30)


async def mid_stream(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(3000):
        await wire.events(delta(content="a"), pause=0.01)


async def idle(gateway: Running) -> None:
    async with asyncio.timeout(30):
        while await gateway.value("naru_inflight_requests", model="m"):
            await asyncio.sleep(0.02)
    assert await gateway.value("naru_endpoint_inflight") == 0


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("script", [before_the_head, before_the_first_token, mid_stream])
async def test_leaving_stops_the_engine(script: Script, stream: bool, tmp_path: Path) -> None:
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        body = {"model": "m", "messages": [], "stream": stream}
        asking = asyncio.create_task(gateway.http.post("/v1/chat/completions", json=body))
        async with asyncio.timeout(30):
            while not upstream.running:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # in the middle of what it does
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("client_cancelled")
        assert await gateway.outcome("ok") == 0
        assert upstream.running == 0
        await idle(gateway)


async def test_leaving_with_the_last_event_is_a_success(tmp_path: Path) -> None:
    async def slow_to_close(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="a"), delta(content="b"), usage(1, 2), "[DONE]")
        await asyncio.sleep(30)

    async with engine(slow_to_close) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        body = {"model": "m", "messages": [], "stream": True}
        async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            async for line in answer.aiter_lines():
                if line == "data: [DONE]":
                    break
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_per_output_token_seconds_count") == 1
        assert await gateway.outcome("client_cancelled") == 0


async def test_leaving_before_a_large_answer_was_taken_is_no_success(tmp_path: Path) -> None:
    async def large(_: Received, wire: Wire) -> None:
        await wire.whole(200, {"text": "x" * 40_000_000})

    async with engine(large) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        body = {"model": "m", "messages": []}
        async with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200
            await asyncio.sleep(0.2)
        await gateway.until_outcome("client_cancelled")
        assert await gateway.outcome("ok") == 0
        taken = await gateway.http.post("/v1/chat/completions", json=body)
        assert len(taken.content) > 40_000_000
        await gateway.until_outcome("ok")
        await idle(gateway)


async def test_leaving_inside_the_body_is_no_call(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test-secret\r\n"
        writer.write((head + "content-length: 100\r\n\r\n" + json.dumps({"model": "m"})).encode())
        await asyncio.sleep(0.1)
        writer.close()
        await gateway.until_outcome("client_cancelled")
        assert not upstream.received


async def test_no_time_series_can_be_made_by_a_client(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        for kind in ("warm", "cold"):
            before = len(await gateway.samples())
            count = 20 if kind == "warm" else 500
            for i in range(count):
                body = {"model": f"{kind}-{i}", "messages": []}
                answers = [
                    await gateway.http.post("/v1/chat/completions", json=body),
                    await gateway.http.get(f"/{kind}/{i}"),
                    await gateway.http.get(f"/v1/models/{kind}-{i}"),
                ]
                assert [a.status_code for a in answers] == [404, 404, 404]
        assert len(await gateway.samples()) == before
