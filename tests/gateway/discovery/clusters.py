"""A gateway whose models are Services of a cluster, and pods on loopback addresses of their own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx

from tests.support.engine import Engine, Script, engine, hello
from tests.support.gateway import Running, running
from tests.support.kubernetes import ApiServer, endpoint_slice, pod
from tests.support.ports import free_ports

CHAT = {"model": "m", "messages": [], "stream": True}


def registry(*services: str, **model: Any) -> dict[str, Any]:
    """One model `m`; each service is one of its versions, named alike."""
    return {"models": {"m": {"task": "chat", "versions": {name: {"service": name} for name in services}, **model}}}


@contextlib.asynccontextmanager
async def pods(count: int, script: Script = hello) -> AsyncIterator[list[Engine]]:
    """Engines on one port of 127.0.0.2 and the addresses after it, as pods of one Service have one port."""
    (port,) = free_ports(1)
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(engine(script, f"127.0.0.{2 + number}", port)) for number in range(count)
        ]


async def announce(server: ApiServer, service: str, *engines: Engine, **conditions: Any) -> None:
    """These are the Service's pods now."""
    each = (pod(one.host, **conditions) for one in engines)
    await server.put(endpoint_slice(service, *each, port=engines[0].port if engines else 8000))


@contextlib.asynccontextmanager
async def gateway(
    server: ApiServer, folder: Path, models: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """Handed over once it is ready."""
    cluster = {"server": server.url, "watch": 30, "longest_retry": 0.3, **settings.pop("kubernetes", {})}
    files = {"token_file": folder / "token", "ca_file": folder / "ca.crt"}
    async with running(models or registry("llm"), folder, kubernetes={**files, **cluster}, **settings) as made:
        await until(lambda: made.gateway.source.complete)
        yield made


async def until(so: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not so():
            await asyncio.sleep(0.01)


def known(made: Running) -> list[str]:
    """Where new requests may go."""
    return [endpoint.host for endpoint in made.gateway.source.live.endpoints()]


async def until_known(made: Running, *engines: Engine) -> None:
    """Until exactly these take requests."""
    await until(lambda: known(made) == [one.host for one in engines])
    await until(lambda: all(endpoint.healthy for endpoint in made.gateway.source.live.endpoints()))


async def ask(made: Running, **headers: str) -> httpx.Response:
    return await made.http.post("/v1/chat/completions", json=CHAT, headers=headers)
