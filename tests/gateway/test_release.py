"""What a call took is given back as it ends, by counting references: nothing waits for the garbage collector."""

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from services.common.errors import UpstreamError
from services.gateway.relay.relay import Relay
from services.gateway.routing.dispatch import Dispatch
from services.gateway.upstream.connection import Connection
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers
from services.gateway.upstream.fetch import within
from tests.support.engine import Received, Wire, delta, engine, hello
from tests.support.gateway import Running, chat_registry, running

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
KINDS = (Relay, Dispatch, Exchange)
Alive = Callable[..., list[object]]


@pytest.fixture
def alive() -> Alive:
    """Gives the objects of some kinds that were made since: what another test left is none of ours.

    By their type alone: to ask an object for its `__class__` wakes what libraries put in a deprecated name's place.
    """
    gc.collect()
    before = [found for found in gc.get_objects() if issubclass(type(found), (*KINDS, Connection))]

    def made(*kinds: type) -> list[object]:
        found = [each for each in gc.get_objects() if issubclass(type(each), kinds)]
        return [each for each in found if not any(each is old for old in before)]

    return made


@pytest.fixture
def uncollected(alive: Alive) -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


async def answers(request: Received, wire: Wire) -> None:
    if request.json.get("stream"):
        await hello(request, wire)
    else:
        await wire.whole(200, {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})


async def resets(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"))
    wire.reset()


async def endless(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(1000):
        await wire.events(delta(content="a"), pause=0.01)


async def until_gone(alive: Alive, *kinds: type) -> None:
    async with asyncio.timeout(30):
        while alive(*kinds):
            await asyncio.sleep(0.05)


async def leave(gateway: Running) -> None:
    async with gateway.http.stream("POST", "/v1/chat/completions", json={**CHAT, "stream": True}) as answer:
        await anext(answer.aiter_bytes())


@pytest.mark.usefixtures("carrier", "uncollected")
async def test_a_call_leaves_no_cycle_however_it_ends(alive: Alive, tmp_path: Path) -> None:
    async with engine(answers) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        for stream in (True, False):
            sent = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
            assert sent.status_code == 200
        upstream.script = resets
        assert (
            b"event: error" in (await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": True})).content
        )
        upstream.script = endless
        await leave(gateway)
        await gateway.until_outcome("client_cancelled")
        assert (await gateway.http.post("/v1/chat/completions", json={**CHAT, "model": "no"})).status_code == 404
        await until_gone(alive, *KINDS)


@pytest.mark.usefixtures("carrier", "uncollected")
async def test_a_connection_leaves_no_cycle(alive: Alive, tmp_path: Path) -> None:
    async with (
        engine(answers) as upstream,
        running(chat_registry(upstream.url), tmp_path, upstream={"keep_alive": 0.1}) as gateway,
    ):
        async with httpx.AsyncClient(base_url=gateway.url, headers=gateway.http.headers) as client:
            assert (await client.post("/v1/chat/completions", json=CHAT)).status_code == 200
        upstream.stop()  # no health check opens a connection any more
        await until_gone(alive, Connection)


class Anywhere:
    """A sink."""

    def on_head(self, status: int, headers: Headers) -> None: ...
    def on_data(self, data: bytes) -> None: ...
    def on_end(self) -> None: ...
    def on_answer(self, status: int, headers: Headers, body: bytes) -> None: ...
    def on_fail(self, error: UpstreamError) -> None: ...


async def test_an_exchange_given_up_while_it_connects_leaves_no_connection(alive: Alive, tmp_path: Path) -> None:
    async with engine(answers) as upstream:
        endpoint = Endpoint("m", "v1", upstream.url, "/health")
        for rounds in range(200):  # of the event loop: given up at each step of connecting
            exchange = Exchange(endpoint, b"GET / HTTP/1.1\r\n\r\n", Anywhere(), within(1.0))
            exchange.start()
            for _ in range(rounds % 20):
                await asyncio.sleep(0)
            exchange.cancel()
        await asyncio.sleep(0.1)
        gc.collect()
        assert alive(Connection) == endpoint.idle
        assert endpoint.in_flight == 0
