"""The real gateway, built by its composition root, on free ports inside the test's event loop."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from services.gateway.__main__ import Gateway, build
from services.gateway.policy.keyfile import Key, development_key
from services.gateway.policy.keysource import KeySource
from services.gateway.servers import Server
from services.gateway.settings import GatewaySection
from tests.support.samples import Samples, parse

KEY = "sk-test-secret"
DIRECT = True
"""Whether model calls bypass ASGI; the `carrier` fixture sets it."""
BEARER = {"authorization": f"Bearer {KEY}"}


@dataclass
class Running:
    gateway: Gateway
    http: httpx.AsyncClient
    port: int
    admin_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def samples(self) -> Samples:
        async with httpx.AsyncClient(verify=plain()) as client:
            return parse((await client.get(f"http://127.0.0.1:{self.admin_port}/metrics")).text)

    async def value(self, name: str, **labels: str) -> float:
        return (await self.samples()).sum(name, **labels)

    async def outcome(self, outcome: str, **labels: str) -> float:
        return await self.value("naru_requests_total", outcome=outcome, **labels)

    async def until_outcome(self, outcome: str, count: float = 1, seconds: float = 30.0) -> None:
        """Wait until so many requests ended so: a request's end is recorded as its last byte leaves."""
        async with asyncio.timeout(seconds):
            while await self.outcome(outcome) < count:
                await asyncio.sleep(0.02)


def plain() -> ssl.SSLContext:
    """For a client that speaks no TLS. Its default is to read every authority's certificate, which takes 50 ms: in
    them a gateway in the same event loop answers nobody."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def chat_registry(*urls: str, **model: Any) -> dict[str, Any]:
    versions = {f"v{i}": {"endpoints": [url], "weight": 100} for i, url in enumerate(urls, 1)}
    slo = {"ttft": "500ms", "tpot": "50ms", "availability": 99.9}
    return {"models": {"m": {"task": "chat", "versions": versions, "slo": slo, **model}}}


def _port(server: Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


async def _closed(server: Server) -> None:
    """As uvicorn shuts down once it is told to, without the fifth of a second that it takes to look and to wait."""
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        connection.shutdown()
    async with asyncio.timeout(60):
        while server.server_state.connections or server.server_state.tasks:
            await asyncio.sleep(0.001)
    for listening in server.servers:
        await listening.wait_closed()


@contextlib.asynccontextmanager
async def running(
    registry: dict[str, Any], folder: Path, *, keys: list[Key] | None = None,
    key_file: Path | None = None, healthy: bool = True, seed: int | None = None, **settings: Any,
) -> AsyncIterator[Running]:  # fmt: skip
    """A gateway for this registry; with `healthy`, it is handed over once every endpoint passed its check."""
    path = folder / "registry.yaml"
    path.write_text(yaml.safe_dump(registry), encoding="utf-8")
    section = GatewaySection.model_validate(
        {
            "registry": path,
            "keys": {"file": key_file},
            **settings,
            "http": {"port": 0, "direct": DIRECT, **settings.get("http", {})},
            "grpc": {"port": 0, **settings.get("grpc", {})},
            "admin": {"port": 0, **settings.get("admin", {})},
            "upstream": {"health_interval": 0.1, **settings.get("upstream", {})},
        }
    )
    gateway = build(section, KeySource(section.keys.file, [development_key(KEY), *(keys or [])]), seed)
    await gateway.grpc.start()
    tasks = [asyncio.create_task(gateway.clients.serve()), asyncio.create_task(gateway.admin.serve())]
    watch = asyncio.create_task(gateway.watch())
    async with asyncio.timeout(30):
        while not (gateway.clients.started and gateway.admin.started):
            await asyncio.sleep(0.005)
        while healthy and not all(endpoint.healthy for endpoint in gateway.health.rounds.followed):
            await asyncio.sleep(0.005)
    port = _port(gateway.clients)
    url = f"http://127.0.0.1:{port}"
    async with httpx.AsyncClient(base_url=url, headers=BEARER, timeout=20, verify=plain()) as client:
        try:
            yield Running(gateway, client, port, _port(gateway.admin))
        finally:
            for task in (*tasks, watch):
                task.cancel()
            gateway.mirror.close()
            await gateway.grpc.stop()
            await asyncio.gather(*tasks, watch, return_exceptions=True)
            await asyncio.gather(_closed(gateway.clients), _closed(gateway.admin))
            await gateway.cache.close()
            await gateway.accounts.close()
            gateway.flush()
            await gateway.traces.close()
