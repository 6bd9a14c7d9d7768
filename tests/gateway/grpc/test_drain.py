"""On SIGTERM running calls end well, new ones go elsewhere; a port that is taken is said."""

import asyncio
import socket
from pathlib import Path

import grpc
import pytest

from services.gateway.api.grpc.edge import GrpcError
from tests.gateway.grpc.client import METADATA, asking, details, drained, serving, text
from tests.support.engine import Received, Wire, delta, usage
from tests.support.gateway import chat_registry, running


async def a_second(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(*(delta(content="a") for _ in range(10)), pause=0.1)
    await wire.events(usage(1, 10), "[DONE]")
    await wire.last()


async def endless(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(1000):
        await wire.events(delta(content="a"), pause=0.05)


async def test_a_running_stream_ends_well(tmp_path: Path) -> None:
    async with serving(tmp_path, a_second) as (_, gateway, client):
        pieces = aiter(client.stream())
        first = await anext(pieces)
        gateway.gateway.grpc.retire(10)
        aborted = await gateway.gateway.drain.finish(10)
        assert aborted == 0
        assert text([first, *[piece async for piece in pieces]]) == "a" * 10


async def test_a_new_call_is_told_to_come_back(tmp_path: Path) -> None:
    async with serving(tmp_path) as (upstream, gateway, client):
        await gateway.gateway.drain.finish(0)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.chat.Chat(asking(), metadata=METADATA)
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert details(caught.value).reason == "draining"
        assert details(caught.value).retry_after == 2
        assert upstream.received == []


async def test_what_runs_too_long_is_told_so(tmp_path: Path) -> None:
    async with serving(tmp_path, endless) as (upstream, gateway, client):
        pieces = aiter(client.stream())
        await anext(pieces)
        assert await gateway.gateway.drain.finish(0.1) == 1
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await drained(pieces)
        assert details(caught.value).reason == "draining"
        await asyncio.wait_for(upstream.left.wait(), 20)


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(GrpcError, match=str(port)):
            async with running(chat_registry("http://127.0.0.1:9"), tmp_path, healthy=False, grpc={"port": port}):
                pass


async def test_grpc_can_be_off(tmp_path: Path) -> None:
    async with running(
        chat_registry("http://127.0.0.1:9"), tmp_path, healthy=False, grpc={"enabled": False}
    ) as gateway:
        assert gateway.gateway.grpc.port is None
