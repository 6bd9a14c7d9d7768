"""A reader that is slow slows its own stream alone, and one that never reads is let go."""

import asyncio
from pathlib import Path

import pytest

from tests.gateway.grpc.client import Stubs, calling, serving, text
from tests.support.engine import Received, Wire, delta, hello, usage

PIECE = "x" * 8192
MANY = 8192
"""64 MiB in all: more than what all buffers between engine and client hold."""


class Flood:
    """To `flood` it answers as fast as it may, to anything else at once."""

    def __init__(self, given: list[int]) -> None:
        self._given = given

    async def __call__(self, request: Received, wire: Wire) -> None:
        if request.json["messages"][0]["content"] != "flood":
            await hello(request, wire)
            return
        await wire.head()
        for _ in range(MANY):
            await wire.events(delta(content=PIECE))
            self._given.append(len(PIECE))
        await wire.events(usage(1, MANY), "[DONE]")
        await wire.last()


async def settled(given: list[int]) -> int:
    """How many pieces the engine could give, once it can give no more."""
    async with asyncio.timeout(20):
        while True:
            before = len(given)
            await asyncio.sleep(0.5)
            if given and len(given) == before:
                return before


async def test_a_slow_reader_holds_its_engine_back_and_nobody_else(tmp_path: Path) -> None:
    given: list[int] = []
    async with serving(tmp_path, Flood(given)) as (_, gateway, client), calling(gateway) as other:
        pieces = aiter(client.stream("flood"))
        first = await anext(pieces)
        held = await settled(given)
        assert held < MANY / 2
        assert text([piece async for piece in other.stream()]) == "Hello"
        rest = [len(text([piece])) async for piece in pieces]
        assert sum(rest) + len(text([first])) == MANY * len(PIECE)
        await gateway.until_outcome("ok", 2)


async def test_a_reader_that_never_reads_is_let_go(tmp_path: Path) -> None:
    given: list[int] = []
    async with serving(tmp_path, Flood(given), grpc={"write_timeout": 0.5}) as (upstream, gateway, client):
        call = client.stream("flood")
        await call.initial_metadata()
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("client_cancelled")
        assert await gateway.value("naru_inflight_requests") == 0
        assert len(given) < MANY / 2
        await another_call(client)


async def another_call(client: Stubs) -> None:
    """The connection goes on."""
    assert text([piece async for piece in client.stream()]) == "Hello"


@pytest.mark.parametrize("pause", [0.0, 0.01])
async def test_every_piece_arrives_in_order(pause: float, tmp_path: Path) -> None:
    async def counts(_: Received, wire: Wire) -> None:
        await wire.head()
        for begin in range(0, 300, 3):
            await wire.events(*(delta(content=f"{number},") for number in range(begin, begin + 3)), pause=0)
            await asyncio.sleep(pause)
        await wire.events(usage(1, 300), "[DONE]")
        await wire.last()

    async with serving(tmp_path, counts) as (_, __, client):
        pieces = [piece async for piece in client.stream()]
    assert text(pieces) == "".join(f"{number}," for number in range(300))
