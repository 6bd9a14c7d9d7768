"""A bare client that clocks a streamed answer: it adds little to a measurement, and the same for every target."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from loadtests.wire import PATH, request


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds from the request's last byte to the first content and to the end."""

    ttft: float
    total: float


class Client:
    """One kept-alive connection to one target."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._key = parts.hostname or "127.0.0.1", parts.port or 80, key
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, body: dict[str, object], path: str = PATH) -> asyncio.StreamReader:
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        self._writer.write(request(body, path, self._key))
        assert self._reader is not None
        return self._reader

    async def stream(self, body: dict[str, object]) -> Timing:
        """One streamed answer, to its end. Raises ConnectionError where it is not whole."""
        reader = await self.send(body)
        began, first = perf_counter(), 0.0
        async for data in _chunks(reader):
            if not first and _is_content(data):
                first = perf_counter()
        return Timing(first - began, perf_counter() - began)

    async def unstreamed(self, body: dict[str, object], path: str = PATH) -> None:
        reader = await self.send(body, path)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))

    async def leave_after(self, body: dict[str, object], seconds: float) -> None:
        """Begin a stream and go, as a client that lost interest does."""
        await self.send(body)
        await asyncio.sleep(seconds)
        self.close()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.transport.abort()
            self._writer = None


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    if b" 200 " not in head[:16]:
        raise ConnectionError(head.split(b"\r\n")[0].decode())
    while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
        yield (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)


def _is_content(data: bytes) -> bool:
    return any(
        choice.get("delta", {}).get("content")
        for line in data.split(b"\n")
        if line.startswith(b"data: {")
        for choice in json.loads(line[6:])["choices"]
    )
