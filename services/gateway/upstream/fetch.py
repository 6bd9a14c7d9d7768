"""A request of the gateway's own: health checks, scrapes, counts of tokens."""

import asyncio

from services.common.errors import UpstreamError
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers
from services.gateway.upstream.limits import Limits
from services.gateway.upstream.request import encode

LONGEST = 4 * 2**20
"""Bytes of a page; vLLM's `/metrics` has about 100,000."""


def within(seconds: float) -> Limits:
    """The limits of such a request; its connection is not kept."""
    return Limits(connect=seconds, first_byte=seconds, idle=seconds, total=seconds, keep_alive=seconds)


async def fetch(
    endpoint: Endpoint, path: str, limits: Limits, head: bytes = b"", body: bytes = b""
) -> tuple[int, bytes]:
    """Status and body of a GET, of a POST where there is a body to send.

    Raises UpstreamError, also where the answer is longer than `LONGEST`.
    """
    page = _Page()
    request = encode("POST" if body else "GET", path, endpoint, head + b"connection: close\r\n", body)
    # No request of a client's: it has an endpoint of its own, and so is not in flight and takes no kept connection.
    stand_in = Endpoint(endpoint.model, endpoint.version, endpoint.url, endpoint.health_path)
    exchange = Exchange(stand_in, request, page, limits)
    exchange.start()
    try:
        return await page.answer
    finally:
        exchange.cancel()
        for connection in stand_in.idle:
            connection.transport.close()  # an endpoint that did not do so, though it was asked to


class _Page:
    """The sink."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._body = bytearray()

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - a sink's signature
        self._status = status

    def on_data(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > LONGEST:
            self.on_fail(UpstreamError(f"the page is longer than {LONGEST} bytes"))

    def on_end(self) -> None:
        if not self.answer.done():
            self.answer.set_result((self._status, bytes(self._body)))

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.on_head(status, headers)
        self.on_data(body)
        self.on_end()

    def on_fail(self, error: UpstreamError) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)
