"""A real Redis on a free port, that can be stopped, started again, made slow and filled up."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from tests.support.ports import free_ports

BINARY = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(BINARY is None, reason="there is no redis-server: apt-get install redis-server")


class Server:
    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def _begin(self) -> subprocess.Popen[bytes]:
        assert BINARY is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self._folder)]
        return subprocess.Popen([BINARY, *options], stdout=subprocess.DEVNULL)

    async def start(self) -> None:
        self._process = self._begin()
        async with asyncio.timeout(30), self.client() as client:
            while True:
                with contextlib.suppress(RedisError, OSError):
                    await client.ping()
                    return
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        """As a machine that is gone: what it held is lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Any]:
        connect: Callable[..., Any] = Redis.from_url  # as in services/gateway/redis_client.py
        client = connect(self.url, protocol=2)
        try:
            yield client
        finally:
            await client.aclose()

    async def set(self, name: str, value: str) -> None:
        async with self.client() as client:
            await client.config_set(name, value)


@contextlib.asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[Server]:
    server = Server(folder)
    await server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def slowed(port: int, delay: float) -> AsyncIterator[str]:
    """The URL of a way to Redis on which each answer takes `delay` seconds longer."""

    async def carry(client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reader, server = await asyncio.open_connection("127.0.0.1", port)

        async def back() -> None:
            while data := await reader.read(65536):
                await asyncio.sleep(delay)
                writer.write(data)
            writer.close()

        answering = asyncio.create_task(back())
        with contextlib.suppress(ConnectionError):
            while data := await client.read(65536):
                server.write(data)
        answering.cancel()
        server.close()
        writer.close()

    listening = await asyncio.start_server(carry, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}/0"
    finally:
        listening.close()
