"""uvicorn's HTTP protocol with the bounds it lacks: on a request's head (bytes, seconds), connections, and a client
that never reads what it was sent.

A subclass leans on uvicorn's internals: its version is pinned, and tests/gateway/test_refusals.py holds the
contract.
"""

import asyncio
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from services.common.errors import HeadersTooLarge, InvalidRequest, NaruError, RequestTimeout
from services.gateway.api.carrier import ABORT
from services.gateway.api.errors import Failures, error_body
from services.gateway.settings import HttpSettings

LINGER = 1.0
"""Seconds a refused client is read from, and what it sends thrown away, before its connection is closed."""


def bounded_protocol(limits: HttpSettings, failures: Failures) -> type[HttpToolsProtocol]:
    """The protocol class for `uvicorn.Config(http=…)`."""
    return type("ProtocolWithin", (BoundedProtocol,), {"limits": limits, "failures": failures})


class BoundedProtocol(HttpToolsProtocol):
    limits: ClassVar[HttpSettings]
    failures: ClassVar[Failures]
    _head_deadline: asyncio.TimerHandle | None = None
    _in_head = True
    _head_size = 0
    """Bytes that came since the head began: an upper bound, exact where nothing but the head came."""
    _segment = 0
    _refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            transport.abort()
            return
        self._await_head()  # a connection that never says a word is bounded like a head that never ends

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._segment = len(data)
        self._head_size += self._segment
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.refuse(InvalidRequest("this is not an HTTP/1.1 request"))
            return
        except httptools.HttpParserUpgrade:
            pass  # to nothing that is spoken here: the request is answered as any other (RFC 9110, 7.8)
        if not self._in_head:
            return
        if self._head_deadline is None:  # most heads come whole and need no timer
            self._await_head()
        if self._head_size > self.limits.max_headers:
            self.refuse(_too_large(self.limits))

    def on_message_begin(self) -> None:
        self._in_head = True
        self._head_size = self._segment
        # The ASGI scope is made once the head is whole, and only for a request that becomes one.
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._head_deadline is not None:
            self._end_head()
        limit = self.limits.max_headers
        if self._head_size > limit and sum(len(name) + len(value) for name, value in self.headers) > limit:
            self.refuse(_too_large(self.limits))
        if not self._refused:
            self.head_complete()

    def head_complete(self) -> None:
        """The head is whole and within bounds: make it an ASGI request."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.scope["extensions"] = {ABORT: self.transport.abort}  # type: ignore[dict-item] # ASGI lets us name it
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_head()
        super().connection_lost(exc)

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():  # close() would wait for a client that does not read
            self.transport.abort()

    def refuse(self, error: NaruError) -> None:
        """Answer what never became a request, or not a whole one, and close."""
        self._refused = True
        self._end_head()
        if self.transport.is_closing():
            return
        request_id = self.failures.new_id()
        self.failures.count("", request_id, error)
        self.transport.write(plain_answer(error, request_id))
        self.close_slowly()

    def close_slowly(self) -> None:
        self.transport.write_eof()
        # To close with bytes unread resets the connection, and the client never sees the answer: read on a while.
        self.loop.call_later(LINGER, self.transport.close)

    def _await_head(self) -> None:
        self._head_deadline = self.loop.call_later(self.limits.header_timeout, self._head_is_late)

    def _end_head(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _head_is_late(self) -> None:
        self.refuse(RequestTimeout(f"the request's head did not arrive within {self.limits.header_timeout:g} s"))


def _too_large(limits: HttpSettings) -> HeadersTooLarge:
    return HeadersTooLarge(f"the request's headers exceed the {limits.max_headers} bytes allowed here")


def plain_answer(error: NaruError, request_id: str) -> bytes:
    body = error_body(error, "")
    lines = (
        f"HTTP/1.1 {error.http_status} {HTTPStatus(error.http_status).phrase}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        "connection: close",
        f"x-request-id: {request_id}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def server_options(limits: HttpSettings) -> dict[str, Any]:
    """What both ports' `uvicorn.Config` have in common."""
    return {
        "lifespan": "off", "ws": "none", "access_log": False, "log_config": None, "server_header": False,
        "backlog": 2048, "timeout_keep_alive": limits.keep_alive, "timeout_graceful_shutdown": 1, "loop": "none",
        "proxy_headers": False,
    }  # fmt: skip
