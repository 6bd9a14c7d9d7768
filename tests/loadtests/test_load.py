"""The load compares every answer: a target that breaks one is found out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from loadtests import streaming
from loadtests.mock_engine import MockEngine, served
from loadtests.streaming import Shape, check
from loadtests.whole import saturate
from loadtests.wire import LAST_CHUNK, BrokenAnswer, Script, chunk
from tests.support.ports import free_ports

SHAPE = Shape(streams=4, tokens=3, pace=0.001)
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
TAG = b"00000001"


def answer(*chunks: bytes) -> bytes:
    return HEAD + b"".join(map(chunk, chunks)) + LAST_CHUNK


def test_the_mock_engine_passes_the_loads_own_checks() -> None:
    (port,) = free_ports(1)
    engine = MockEngine([port], SHAPE.tokens, SHAPE.pace)
    with served(engine) as held, held:
        assert saturate(port, 4, requests=100, alongside=engine.step).requests >= 100
        found = streaming.load(port, SHAPE, 0.1, alongside=engine.step)
    assert found.answers > 0
    assert engine.counts.connections == 8
    assert engine.counts.left == 0


def test_the_right_answer_passes_however_it_is_cut_into_chunks() -> None:
    right = Script(3).answer(TAG)
    for size in (1, 7, len(right)):
        check(answer(*(right[at : at + size] for at in range(0, len(right), size))), right)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(lambda right: right.replace(b" 1", b" 2"), id="a token twice"),
        pytest.param(lambda right: right.replace(TAG, b"00000002"), id="another stream's answer"),
        pytest.param(lambda right: right[: right.index(b"data: [DONE]")], id="no end"),
        pytest.param(lambda right: right + b": comment\n\n", id="more than there is"),
    ],
)
def test_a_wrong_stream_is_refused(broken: Callable[[bytes], bytes]) -> None:
    right = Script(3).answer(TAG)
    with pytest.raises(BrokenAnswer):
        check(answer(broken(right)), right)


@pytest.mark.parametrize("surplus", [b"x", b"0\r\n\r\n"])
def test_bytes_after_the_last_chunk_are_refused(surplus: bytes) -> None:
    right = Script(3).answer(TAG)
    with pytest.raises(BrokenAnswer):
        check(answer(right) + surplus, right)


@asynccontextmanager
async def server(reply: bytes) -> AsyncIterator[int]:
    """Answers every request so, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8192)
        writer.write(reply)
        writer.close()

    made = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield made.sockets[0].getsockname()[1]
    finally:
        made.close()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", id="an error"),
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD + chunk(b"data: {}\n\n"), id="an answer cut short"),
    ],
)
async def test_a_target_that_drops_or_refuses_fails_the_load(reply: bytes) -> None:
    async with server(reply) as port:
        with pytest.raises(BrokenAnswer):
            await asyncio.to_thread(streaming.load, port, SHAPE, 1.0)
        with pytest.raises(BrokenAnswer):
            await asyncio.to_thread(saturate, port, 2, seconds=1.0)
