"""A call's cancellation and its deadline reach the engine."""

import asyncio
import time
from collections.abc import Awaitable
from pathlib import Path

import grpc
import pytest

from tests.gateway.grpc.client import METADATA, asking, details, drained, serving
from tests.support.engine import Received, Wire, delta, usage

PACE = 0.05


async def a_token_each_pace(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(400):
        await wire.events(delta(content="a"), pause=PACE)


async def never(_: Received, __: Wire) -> None:
    await asyncio.sleep(30)


async def test_cancelling_a_stream_stops_the_engine_within_one_token(tmp_path: Path) -> None:
    async with serving(tmp_path, a_token_each_pace) as (upstream, gateway, client):
        call = client.stream()
        assert await call.read() is not grpc.aio.EOF
        call.cancel()
        began = time.perf_counter()
        await asyncio.wait_for(upstream.left.wait(), 20)
        assert time.perf_counter() - began < 20 * PACE  # a slow day's margin; the engine had 20 s to go
        await gateway.until_outcome("client_cancelled")
        assert await gateway.value("naru_inflight_requests") == 0
        assert await gateway.outcome("ok") == 0


async def test_cancelling_a_whole_answer_stops_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, never) as (upstream, gateway, client):
        call = client.chat.Chat(asking(), metadata=METADATA)
        async with asyncio.timeout(30):
            while not upstream.running:
                await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("client_cancelled")


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("seconds", [0.5, 2.05])
async def test_a_deadline_stops_the_engine_and_is_counted(streamed: bool, seconds: float, tmp_path: Path) -> None:
    async with serving(tmp_path, a_token_each_pace if streamed else never) as (upstream, gateway, client):
        if streamed:
            call: Awaitable[object] = drained(client.stream(timeout=seconds))
        else:
            call = client.chat.Chat(asking(), metadata=METADATA, timeout=seconds)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("deadline_exceeded")
        assert await gateway.outcome("client_cancelled") == 0


async def test_a_deadline_that_holds_changes_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, client):
        assert [piece async for piece in client.stream(timeout=30)]
        await gateway.until_outcome("ok")


async def test_an_engine_that_is_too_slow_is_told_apart_from_a_deadline(tmp_path: Path) -> None:
    async with serving(tmp_path, never, upstream={"first_byte_timeout": 0.2}) as (_, __, client):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.stream(timeout=30).read()
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert details(caught.value).reason == "timeout_first_token"


async def test_a_client_whose_connection_dies_stops_the_engine(tmp_path: Path) -> None:
    async with serving(tmp_path, a_token_each_pace) as (upstream, gateway, client):
        call = client.stream()
        await call.read()
        await client.channel.close()
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("client_cancelled")


async def test_calls_that_end_leave_nothing_running(tmp_path: Path) -> None:
    async def quick(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="a"), usage(1, 1), "[DONE]")
        await wire.last()

    async with serving(tmp_path, quick) as (upstream, gateway, client):
        for _ in range(20):
            assert [piece async for piece in client.stream()]
        await gateway.until_outcome("ok", 20)
        async with asyncio.timeout(30):
            while any(task.get_name().startswith(("rpc_task", "HandleExceptions")) for task in asyncio.all_tasks()):
                await asyncio.sleep(0.02)
        assert upstream.running == 0
