"""A carrier that gathers a whole answer, for edges that translate it before a client sees it."""

import asyncio
from dataclasses import dataclass

from services.common.errors import NaruError
from services.gateway.upstream.exchange import Headers


@dataclass(frozen=True, slots=True)
class Whole:
    status: int
    """200, or the 4xx with which the engine itself refused."""
    headers: Headers
    body: bytes


class Gathered:
    """`answer` brings a Whole or raises a NaruError."""

    flushed = True

    def __init__(self) -> None:
        self.answer: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers: Headers = []
        self._parts: list[bytes] = []

    def start(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self) -> None:
        self.whole(self._status, self._headers, b"".join(self._parts))

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(Whole(status, headers, body))

    def error(self, error: NaruError, headers: Headers) -> None:  # noqa: ARG002 - a carrier's signature
        if not self.answer.done():
            self.answer.set_exception(error)

    def break_off(self, error: NaruError, event: bytes) -> None:  # noqa: ARG002
        self.error(error, [])
