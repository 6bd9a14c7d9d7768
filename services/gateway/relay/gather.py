"""A carrier that gathers a whole answer, for edges that translate it before a client sees it."""

import asyncio
from dataclasses import dataclass

from services.common.errors import (
    BodyTooLarge,
    InvalidField,
    InvalidRequest,
    NaruError,
    NotFound,
    PermissionDenied,
    Saturated,
)
from services.gateway.relay.dialects import engine_words
from services.gateway.upstream.exchange import Headers

REFUSALS: dict[int, type[NaruError]] = {
    400: InvalidRequest, 403: PermissionDenied, 404: NotFound, 413: BodyTooLarge, 422: InvalidField, 429: Saturated,
}  # fmt: skip
"""What an engine's own 4xx is to an edge that says it in its own form."""


@dataclass(frozen=True, slots=True)
class Whole:
    status: int
    """200, or the 4xx with which the engine itself refused."""
    headers: Headers
    body: bytes


def refusal(whole: Whole) -> NaruError:
    """The error that an engine's own 4xx comes to, in its words."""
    message, param = engine_words(whole.body)
    after = next((value for name, value in whole.headers if name == b"retry-after" and value.isdigit()), None)
    kind = REFUSALS.get(whole.status, InvalidRequest)
    return kind(message, param=param, retry_after=None if after is None else int(after))


class Gathered:
    """`answer` brings a Whole or raises a NaruError."""

    flushed = True
    chunks = None
    writes_lines = False

    def __init__(self) -> None:
        self.answer: asyncio.Future[Whole] = asyncio.get_running_loop().create_future()
        self._status = 0
        self._headers: Headers = []
        self._parts: list[bytes] = []

    def start(self, status: int, headers: Headers) -> None:
        self._status, self._headers = status, headers

    def write(self, data: bytes) -> None:
        self._parts.append(data)

    def end(self, data: bytes = b"") -> None:
        self.whole(self._status, self._headers, b"".join(self._parts) + data)

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        if not self.answer.done():
            self.answer.set_result(Whole(status, headers, body))

    def error(self, error: NaruError, headers: Headers) -> None:  # noqa: ARG002 - a carrier's signature
        if not self.answer.done():
            self.answer.set_exception(error)

    def break_off(self, error: NaruError, event: bytes) -> None:  # noqa: ARG002
        self.error(error, [])
