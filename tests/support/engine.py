"""A scripted engine on a real socket, for the faults that a real engine can't be made to show."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """What a script writes its answer with."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer

    async def raw(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self, status: int = 200, kind: str = "text/event-stream", *extra: str) -> None:
        lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", "transfer-encoding: chunked", *extra]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode())

    async def chunk(self, data: bytes) -> None:
        await self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    async def events(self, *payloads: object, pause: float = 0.0) -> None:
        for payload in payloads:
            await self.chunk(event(payload))
            await asyncio.sleep(pause)

    async def last(self) -> None:
        await self.raw(b"0\r\n\r\n")

    async def whole(self, status: int, body: object, *extra: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(data)}", *extra]
        await self.raw(("\r\n".join(lines) + "\r\n\r\n").encode() + data)

    def reset(self) -> None:
        """Close with RST, as a killed process does."""
        self.writer.transport.abort()


Script = Callable[[Received, Wire], Awaitable[None]]


def event(payload: object) -> bytes:
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    return b"data: %b\n\n" % text.encode()


def delta(**fields: object) -> dict[str, object]:
    """A chat completion chunk with this delta."""
    return {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": fields}]}


def usage(prompt: int, completion: int) -> dict[str, object]:
    """The chunk that carries usage and nothing else."""
    return {"id": "c", "choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}


async def hello(_: Received, wire: Wire) -> None:
    """A plain streamed answer of two tokens."""
    await wire.head()
    await wire.events(delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"))
    await wire.events(usage(5, 2), "[DONE]")
    await wire.last()


@dataclass
class Engine:
    script: Script = hello
    healthy: bool = True
    silent: bool = False
    """Takes health checks and answers none of them."""
    checks: list[float] = field(default_factory=list)
    """When each was answered, by `time.monotonic()`."""
    page: bytes = b""
    """`/metrics`."""
    scrape_seconds: float = 0.0
    """How long it takes."""
    scrapes: int = 0
    host: str = "127.0.0.1"
    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    running: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a connection was closed on the engine while it was answering."""
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            while (request := await read_request(reader)) is not None:
                if request.path == "/metrics":
                    self.scrapes += 1
                    await asyncio.sleep(self.scrape_seconds)
                    await Wire(writer).whole(200, self.page)
                    continue
                if request.method == "GET" and self.silent:
                    await asyncio.sleep(60)
                if request.method == "GET":
                    self.checks.append(time.monotonic())
                    await Wire(writer).whole(200 if self.healthy else 503, {})
                    continue
                self.received.append(request)
                await self._answer(request, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the loop's end cancels what still waits for a request
        finally:
            self.writers.discard(writer)
            writer.close()

    async def start(self) -> None:
        """Listen: on a free port, then always on that one."""
        self.server = await asyncio.start_server(self.handle, self.host, self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    def stop(self) -> None:
        """Die as a killed process does: nothing listens, and every connection is reset."""
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()

    async def _answer(self, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.running += 1
        answering = asyncio.ensure_future(self.script(request, Wire(writer)))
        gone = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait([answering, gone], return_when=asyncio.FIRST_COMPLETED)
            if not answering.done():
                self.left.set()
                answering.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await answering
        except ConnectionError:
            self.left.set()
            raise
        finally:
            self.running -= 1
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await gone


async def read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    line, *rest = head.split("\r\n")
    method, path, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (h.partition(":") for h in rest if h)}
    return Received(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))


@contextlib.asynccontextmanager
async def engine(script: Script = hello, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Engine]:
    made = Engine(script, host=host, port=port)
    await made.start()
    try:
        yield made
    finally:
        made.stop()
