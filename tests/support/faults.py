"""The fault table: what an endpoint does wrong, and what becomes of the request.

`tests/gateway/test_faults.py` holds every row against the gateway, and docs/resilience.md is made from it.
"""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.engine import Received, Script, Wire, delta, hello, usage

CONNECT, FIRST_BYTE, IDLE = 0.4, 0.4, 0.4
"""Seconds, the gateway's limits while the table is held against it."""
MAX_EVENT = 4096
REFUSED = "refused"
GONE = "gone"
DROPS = "drops"
"""Faults below HTTP: nothing listens any more; the name does not resolve any more; packets are dropped."""


@contextlib.contextmanager
def dropping() -> Iterator[socket.socket]:
    """A port whose queue is full: the kernel drops every further packet that wants to connect."""
    with socket.socket() as port, socket.socket() as filler:
        port.bind(("127.0.0.1", 0))
        port.listen(0)
        filler.connect(port.getsockname())
        yield port


@dataclass(frozen=True)
class Result:
    """What one request came to."""

    status: int
    outcome: str
    """`naru_requests_total`'s."""
    attempts: int
    """Requests sent upstream, the first one included."""
    code: str | None = None
    """The `code` of the error that the client reads, in a body or in an event; None where there is none."""
    retry_after: str | None = None


OK = Result(200, "ok", 1)
RETRIED = Result(200, "ok", 2)
MIGRATED = Result(200, "ok", 2)


@dataclass(frozen=True)
class Fault:
    name: str
    script: Script | str
    alone: Result
    """Where the faulty endpoint is the only one."""
    beside: Result
    """Where another endpoint of the version is well."""
    stream: bool = True
    why: str = ""
    """The `reason` of `naru_retries_total`, or `migrated`, where the other endpoint answered."""


async def reset_at_once(_: Received, wire: Wire) -> None:
    wire.reset()


async def never_answers(_: Received, __: Wire) -> None:
    await asyncio.sleep(30)


async def slow_head(_: Received, wire: Wire) -> None:
    for byte in b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n":
        await wire.raw(bytes([byte]))
        await asyncio.sleep(0.1)


def refusing(status: int, *headers: str) -> Script:
    async def script(_: Received, wire: Wire) -> None:
        await wire.whole(status, {"error": {"message": "not now"}}, *headers)

    return script


async def silent_after_head(_: Received, wire: Wire) -> None:
    await wire.head()
    await asyncio.sleep(30)


async def _begin(wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(role="assistant", content=""), delta(content="Hel"))


async def silent_mid_stream(_: Received, wire: Wire) -> None:
    await _begin(wire)
    await asyncio.sleep(30)


async def fin_mid_stream(_: Received, wire: Wire) -> None:
    await _begin(wire)
    await asyncio.sleep(0.05)
    wire.writer.close()


async def rst_mid_stream(_: Received, wire: Wire) -> None:
    await _begin(wire)
    await asyncio.sleep(0.05)
    wire.reset()


async def cut_mid_stream(_: Received, wire: Wire) -> None:
    await _begin(wire)
    await wire.last()


async def dies_at_its_end(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(role="assistant", content=""), delta(content="Hel"), delta(content="lo"))
    await wire.events({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    await asyncio.sleep(0.05)
    wire.reset()


async def page(_: Received, wire: Wire) -> None:
    await wire.head(200, "text/html")
    await wire.chunk(b"<html>It works!</html>")
    await wire.last()


async def noise(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.chunk(b"\x00\xff not an event")
    await wire.last()


async def no_http(_: Received, wire: Wire) -> None:
    await wire.raw(b"SMTP READY\r\n\r\n")


async def oversized(_: Received, wire: Wire) -> None:
    await wire.head()
    for _i in range(4):
        await wire.chunk(b"data: " + b"x" * MAX_EVENT)
    await asyncio.sleep(30)


async def too_short(_: Received, wire: Wire) -> None:
    await wire.raw(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id": "c"')
    wire.writer.close()


async def too_long(_: Received, wire: Wire) -> None:
    await wire.raw(
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 11\r\n\r\n{"id": "c"}, "choices": []}'
    )


async def engines_own_error(_: Received, wire: Wire) -> None:
    await _begin(wire)
    await wire.events({"error": {"message": "out of memory", "code": "engine"}}, "[DONE]")
    await wire.last()


async def continues(request: Received, wire: Wire) -> None:
    """A healthy engine, which also counts tokens (one a character) and continues a text it is given."""
    body = request.json
    text = len(body.get("prompt", "")) + sum(len(message["content"]) for message in body.get("messages", ()))
    if request.path == "/tokenize":
        await wire.whole(200, {"count": text})
    elif body.get("continue_final_message"):
        assert body["messages"][-1] == {"role": "assistant", "content": "Hel"}
        await wire.head()
        await wire.events(delta(role="assistant", content=""), delta(content="lo"))
        await wire.events(usage(text, 2), "[DONE]")
        await wire.last()
    elif body["stream"]:
        await hello(request, wire)
    else:
        await wire.whole(200, {"id": "c", "choices": []})


def _error(code: str, status: int = 502, **more: str) -> Result:
    return Result(status, code, 1, code, **more)


def _passed_on(retry_after: str) -> Result:
    return Result(429, "engine_refused", 1, None, retry_after)


_NONE_LEFT = _error("no_healthy_endpoint", 503, retry_after="2")
_LATE = _error("timeout_first_token", 504)
_BROKEN = _error("upstream_error")

FAULTS = (
    Fault("refuses the connection", REFUSED, _NONE_LEFT, RETRIED, why="refused"),
    Fault("its name no longer resolves", GONE, _NONE_LEFT, RETRIED, why="refused"),
    Fault("its packets are dropped", DROPS, _NONE_LEFT, RETRIED, why="refused"),
    Fault("accepts, then resets", reset_at_once, _BROKEN, RETRIED, why="broken"),
    Fault("black hole: accepts, never answers", never_answers, _LATE, _LATE),
    Fault("headers that drip", slow_head, _LATE, _LATE),
    Fault("answers 500", refusing(500), _BROKEN, _BROKEN),
    Fault("answers 500 with `Retry-After: 7`", refusing(500, "retry-after: 7"), _BROKEN, _BROKEN),
    Fault("answers 502", refusing(502), _BROKEN, RETRIED, why="502"),
    Fault("answers 503", refusing(503), _error("unavailable", 503, retry_after="2"), RETRIED, why="503"),
    Fault("answers 503 with `Retry-After: 7`", refusing(503, "retry-after: 7"),
          _error("unavailable", 503, retry_after="7"), RETRIED, why="503"),
    Fault("answers 429", refusing(429), _passed_on("1"), RETRIED, why="429"),
    Fault("answers 429 with `Retry-After: 7`", refusing(429, "retry-after: 7"), _passed_on("7"), RETRIED, why="429"),
    Fault("stalls before the first token", silent_after_head, _LATE, _LATE),
    Fault("stalls mid-stream", silent_mid_stream, _error("timeout_idle", 200), _error("timeout_idle", 200)),
    Fault("FIN mid-stream", fin_mid_stream, _error("upstream_error", 200), MIGRATED, why="migrated"),
    Fault("RST mid-stream", rst_mid_stream, _error("upstream_error", 200), MIGRATED, why="migrated"),
    Fault("a stream that ends without its end", cut_mid_stream, _error("truncated", 200), MIGRATED, why="migrated"),
    Fault("RST between the `finish_reason` and `[DONE]`", dies_at_its_end, OK, OK),
    Fault("an error of the engine's own mid-stream", engines_own_error,
          Result(200, "upstream_error", 1, "engine"), Result(200, "upstream_error", 1, "engine")),
    Fault("a page instead of a stream", page, _BROKEN, RETRIED, why="broken"),
    Fault("bytes that are no events", noise, _error("truncated"), RETRIED, why="broken"),
    Fault("bytes that are no HTTP", no_http, _BROKEN, RETRIED, why="broken"),
    Fault("an oversized event", oversized, _BROKEN, _BROKEN),
    Fault("a body shorter than its `Content-Length`", too_short, _BROKEN, RETRIED, stream=False, why="broken"),
    Fault("a body longer than its `Content-Length`", too_long, _BROKEN, RETRIED, stream=False, why="broken"),
)  # fmt: skip
