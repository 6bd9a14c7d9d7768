"""SIGTERM: running streams end well, new requests are told to come again, and the process leaves."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.support.engine import Received, Wire, delta, engine, usage
from tests.support.gateway import chat_registry
from tests.support.ports import free_ports

pytestmark = pytest.mark.usefixtures("carrier")

CHAT = {"model": "m", "messages": [], "stream": True}


@contextlib.asynccontextmanager
async def process(
    upstream: str, folder: Path, **variables: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    (folder / "registry.yaml").write_text(yaml.safe_dump(chat_registry(upstream)))
    port, grpc, admin = free_ports(3)
    environment = {
        **os.environ, "NARU_API_KEY": "k", "NARU_GATEWAY__REGISTRY": str(folder / "registry.yaml"),
        "NARU_GATEWAY__HTTP__PORT": str(port), "NARU_GATEWAY__GRPC__PORT": str(grpc),
        "NARU_GATEWAY__ADMIN__PORT": str(admin), **variables,
    }  # fmt: skip
    running = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.gateway", env=environment)
    try:
        async with httpx.AsyncClient() as client, asyncio.timeout(20):
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"http://127.0.0.1:{admin}/readyz")).json()["models"]["m"]:
                        break
                await asyncio.sleep(0.05)
        yield running, port, admin
    finally:
        with contextlib.suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def until_draining(client: httpx.AsyncClient, admin: int) -> None:
    async with asyncio.timeout(30):
        while (await client.get(f"http://127.0.0.1:{admin}/readyz")).status_code != 503:
            await asyncio.sleep(0.02)


async def tenth_of_a_second_each(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(15):
        await wire.events(delta(content="a"), pause=0.1)
    await wire.events(usage(1, 15), "[DONE]")
    await wire.last()


async def test_a_running_stream_ends_well_and_new_ones_are_refused(tmp_path: Path) -> None:
    refusal = asyncio.Event()

    async def until_one_was_refused(request: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="a"))
        await refusal.wait()
        await wire.events(delta(content="b"), usage(1, 2), "[DONE]")
        await wire.last()

    async with engine(until_one_was_refused) as upstream, process(upstream.url, tmp_path) as (gateway, port, admin):
        headers = {"authorization": "Bearer k"}
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client,
            client.stream("POST", "/v1/chat/completions", json=CHAT) as answer,
        ):
            pieces = answer.aiter_bytes()
            received = await anext(pieces)
            gateway.send_signal(signal.SIGTERM)
            await until_draining(client, admin)
            refused = await client.post("/v1/chat/completions", json=CHAT)
            assert refused.status_code == 503
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.json()["error"]["code"] == "draining"
            refusal.set()
            async for piece in pieces:
                received += piece
        assert received.endswith(b"data: [DONE]\n\n")
        assert await asyncio.wait_for(gateway.wait(), 20) == 0


async def test_a_stream_beyond_the_limit_is_told_why(tmp_path: Path) -> None:
    limit = {"NARU_GATEWAY__DRAIN__TIMEOUT": "0.3"}
    async with (
        engine(tenth_of_a_second_each) as upstream,
        process(upstream.url, tmp_path, **limit) as (gateway, port, _),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={"authorization": "Bearer k"}) as client,
    ):
        async with client.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            pieces = answer.aiter_bytes()
            received = await anext(pieces)
            gateway.send_signal(signal.SIGTERM)
            async for piece in pieces:
                received += piece
        assert b'"code":"draining"' in received
        assert b"[DONE]" not in received
        await asyncio.wait_for(upstream.left.wait(), 20)
        assert await asyncio.wait_for(gateway.wait(), 20) == 0


async def quick(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(10):
        await wire.events(delta(content="a"), pause=0.01)
    await wire.events(usage(1, 10), "[DONE]")
    await wire.last()


async def test_under_load_no_request_fails(tmp_path: Path) -> None:
    """Two gateways, one of which is told to leave: its clients go to the other, as a load balancer sends them."""
    for name in ("leaving", "staying"):
        (tmp_path / name).mkdir()
    async with (
        engine(quick) as upstream,
        process(upstream.url, tmp_path / "leaving") as (leaving, first, _),
        process(upstream.url, tmp_path / "staying") as (_, second, _),
        httpx.AsyncClient(headers={"authorization": "Bearer k"}, timeout=30) as client,
    ):
        served = {first: 0, second: 0}
        refused = 0

        async def ask(ports: tuple[int, ...]) -> None:
            nonlocal refused
            for port in ports:
                try:
                    answer = await client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=CHAT)
                except httpx.ConnectError:
                    continue
                if answer.status_code == 503 and answer.json()["error"]["code"] == "draining":
                    refused += 1
                    continue
                assert answer.status_code == 200
                assert answer.content.endswith(b"data: [DONE]\n\n")
                served[port] += 1
                return
            raise AssertionError("no gateway took the request")

        async def load() -> None:
            while leaving.returncode is None:
                await ask((second,) if refused else (first, second))

        clients = [asyncio.create_task(load()) for _ in range(40)]
        async with asyncio.timeout(30):
            while served[first] <= 40:
                await asyncio.sleep(0.02)
        leaving.send_signal(signal.SIGTERM)
        await asyncio.gather(*clients)
        assert leaving.returncode == 0
        assert refused > 0
        assert served[second] > 0


async def test_settings_that_are_wrong_are_named() -> None:
    variables = {**os.environ, "NARU_GATEWAY__REGISTRY": "x", "NARU_GATEWAY__HTTP__PROT": "1"}
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway", env=variables, stderr=asyncio.subprocess.PIPE
    )
    _, said = await running.communicate()
    assert running.returncode == 2
    assert b"NARU_GATEWAY__HTTP__PROT" in said
