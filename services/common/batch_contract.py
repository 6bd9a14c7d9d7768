"""A task model's HTTP contract around BentoML's batched endpoint, as ASGI middleware.

BentoML batches requests by joining lists, so its endpoint takes and gives a list, and an exception in a batch fails
every request in it. A bad request must therefore be refused before it can reach a batch: this checks the body, hands
the list on, and turns the list that comes back into the contract's answer.
"""

import json
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.errors import BodyTooLarge, InternalError, NaruError, Unavailable

Parse = Callable[[bytes], list[Any]]
"""A body to what BentoML batches. Raises NaruError."""
Answer = Callable[[bytes], bytes]
"""The batched endpoint's JSON list to the contract's body."""


class BatchContract:
    def __init__(self, app: ASGIApp, path: str, parse: Parse, answer: Answer, max_body: int) -> None:
        self._app, self._path, self._max_body = app, path, max_body
        self._parse, self._answer = parse, answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        try:
            body = await _read(receive, self._max_body)
            if body is None:
                return
            items = self._parse(body)
        except NaruError as error:
            await _respond(send, error.http_status, json.dumps(error.envelope()).encode())
            return
        wrapped = json.dumps(items).encode()
        await self._forward(scope, wrapped, receive, send)

    async def _forward(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
        collector = _Collector()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        inner = {**scope, "headers": [*_without(scope["headers"]), *headers]}
        await self._app(inner, _replay(body, receive), collector)
        if collector.status == 200:
            await _respond(send, 200, self._answer(collector.body), collector.headers)
        else:
            error = _translated(collector.status)
            await _respond(send, error.http_status, json.dumps(error.envelope()).encode(), _retry(error))


class _Collector:
    """Holds the inner answer: it is one JSON list."""

    def __init__(self) -> None:
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = _without(message["headers"])
        else:
            self.body += message.get("body", b"")


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The request body; None when the client left. Raises BodyTooLarge without reading on."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise BodyTooLarge(f"the body has more than {limit} bytes; send several requests")
        more = message.get("more_body", False)
    return b"".join(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def once() -> Message:
        return pending.pop() if pending else await receive()

    return once


def _without(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    dropped = (b"content-type", b"content-length", b"content-encoding", b"transfer-encoding")
    return [(name, value) for name, value in headers if name.lower() not in dropped]


def _translated(status: int) -> NaruError:
    if status == 503:
        return Unavailable("the service has more requests than it can batch in time; try again", retry_after=1)
    return InternalError("the model failed; the service's log has the reason")


def _retry(error: NaruError) -> list[tuple[bytes, bytes]]:
    return [] if error.retry_after is None else [(b"retry-after", str(error.retry_after).encode())]


async def _respond(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    own = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), *own]})
    await send({"type": "http.response.body", "body": body})
