"""An endpoint is not held for dead because the gateway itself is late, nor while it is answering."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.fetch import fetch, within
from services.gateway.upstream.health import SLOW_CHECKS
from tests.support.engine import Received, Wire, delta, engine, usage
from tests.support.faults import CONNECT, dropping
from tests.support.gateway import Running, chat_registry, running

LIMIT = 0.4
"""Seconds an endpoint may take."""
LONG = 1.5
"""The same where the endpoint is a thread, which a busy machine may keep from answering for a while."""
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


@contextlib.contextmanager
def prompt_endpoint() -> Iterator[Endpoint]:
    """It answers at once, on a thread: also while the test's event loop is held up."""

    def serve() -> None:
        with contextlib.suppress(OSError):  # the socket is shut down at the end
            while True:
                client, _ = listening.accept()
                with client:
                    client.recv(65536)
                    client.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint("m", "v1", f"http://127.0.0.1:{listening.getsockname()[1]}", "/health")
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize("turns", [1, 3, 6])  # as it connects, as it sends, as it waits
async def test_while_the_loop_is_held_up_no_endpoint_is_late(turns: int) -> None:
    with prompt_endpoint() as endpoint:
        asking = asyncio.create_task(fetch(endpoint, "/health", within(LONG)))
        for _ in range(turns):
            await asyncio.sleep(0)
        time.sleep(1.2 * LONG)  # noqa: ASYNC251 - that is the point
        assert await asking == (200, b"ok")


async def test_a_gateway_that_is_always_late_finds_no_endpoint_late() -> None:
    """As one with too little processor time is: each turn of its loop takes long."""

    async def late() -> None:
        while True:
            time.sleep(LIMIT / 2)  # noqa: ASYNC251 - that is the point
            await asyncio.sleep(0)

    with prompt_endpoint() as endpoint:
        slow = asyncio.create_task(late())
        try:
            assert await fetch(endpoint, "/health", within(LIMIT)) == (200, b"ok")
        finally:
            slow.cancel()


class Talk:
    """An engine's script: a stream that goes on until it is told to end."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def __call__(self, _: Received, wire: Wire) -> None:
        await wire.head()
        while not self.over.is_set():
            await wire.events(delta(content="a"), pause=0.01)
        await wire.events(usage(1, 1), "[DONE]")
        await wire.last()


async def whole_stream(gateway: Running, begun: asyncio.Event) -> bool:
    async with gateway.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
        last = b""
        async for data in answer.aiter_bytes():
            begun.set()
            last = data
        return last.endswith(b"data: [DONE]\n\n")


async def test_an_endpoint_whose_checks_time_out_is_well_while_it_answers(tmp_path: Path) -> None:
    talk = Talk()
    async with engine(talk) as upstream:
        limits = {"health_interval": 0.05, "health_timeout": LIMIT}
        async with running(chat_registry(upstream.url), tmp_path, upstream=limits) as gateway:
            (endpoint,) = gateway.gateway.health.rounds.followed
            begun = asyncio.Event()
            stream = asyncio.create_task(whole_stream(gateway, begun))
            await begun.wait()
            upstream.silent, before = True, upstream.connections
            async with asyncio.timeout(30):
                while upstream.connections <= before + SLOW_CHECKS + 1:
                    assert endpoint.healthy
                    await asyncio.sleep(0.01)
                talk.over.set()
                assert await stream
                while endpoint.healthy:  # now nothing speaks for it
                    await asyncio.sleep(0.01)


async def test_an_endpoint_that_takes_no_connection_in_time_is_well_while_it_answers(tmp_path: Path) -> None:
    talk = Talk()
    async with engine(talk) as upstream:
        limits = {"health_interval": 600, "connect_timeout": CONNECT}
        async with running(chat_registry(upstream.url), tmp_path, upstream=limits) as gateway:
            (endpoint,) = gateway.gateway.health.rounds.followed
            begun = asyncio.Event()
            stream = asyncio.create_task(whole_stream(gateway, begun))
            await begun.wait()
            with dropping() as full:
                endpoint.port = full.getsockname()[1]
                refused = await gateway.http.post("/v1/chat/completions", json=CHAT)
                assert refused.status_code == 503
                assert endpoint.healthy, "what answers one request is there for the next one"
                talk.over.set()
                assert await stream
                endpoint.idle.clear()  # on the first one's connection it would still be answered
                refused = await gateway.http.post("/v1/chat/completions", json=CHAT)
                assert refused.status_code == 503
                assert not endpoint.healthy
