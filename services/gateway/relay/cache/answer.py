"""A complete answer, as it is kept and given again."""

import re

import msgspec

from services.common.errors import NaruError
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.keepalive import COMMENT
from services.gateway.upstream.exchange import Headers

LARGEST = 16
"""An answer is kept if it takes no more than this part of its model's bound: none empties the cache for itself, and
what running answers take while they are recorded stays small."""
_CUT_SHORT = re.compile(rb'"finish_reason"\s*:\s*"(?:abort|error)"')
"""How vLLM says inside a well-formed answer that it gave up; inside a text these quotes would be escaped."""


class Kept(msgspec.Struct, array_like=True, gc=False):
    version: str
    authority: str
    """The endpoint that made it."""
    headers: list[tuple[bytes, bytes]]
    """The endpoint's own that clients get."""
    body: bytes
    """What the client got: a whole answer, or all events of a stream."""


encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Kept).decode


def decode(value: bytes) -> Kept | None:
    """None where it is no answer that this gateway could have kept."""
    try:
        return _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Recording:
    """Passes an answer on to its client and remembers its bytes, up to `most` of them."""

    chunks = None

    def __init__(self, carrier: Carrier, most: int) -> None:
        self._carrier, self._left = carrier, most
        self._parts: list[bytes] = []
        self._complete = False

    @property
    def body(self) -> bytes | None:
        """The answer, if it is complete and worth keeping."""
        if not self._complete or self._left < 0:
            return None
        body = b"".join(self._parts)
        return None if _CUT_SHORT.search(body) else body

    # Carrier

    @property
    def writes_lines(self) -> bool:
        return self._carrier.writes_lines

    @property
    def flushed(self) -> bool:
        return self._carrier.flushed

    def start(self, status: int, headers: Headers) -> None:
        self._carrier.start(status, headers)

    def write(self, data: bytes) -> None:
        if data is not COMMENT:  # a sign of life that this client needed is no part of the answer
            self._add(data)
        self._carrier.write(data)

    def end(self, data: bytes = b"") -> None:
        self._add(data)
        self._complete = True
        self._carrier.end(data)

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        self._add(body)
        self._complete = True
        self._carrier.whole(status, headers, body)

    def error(self, error: NaruError, headers: Headers) -> None:
        self._carrier.error(error, headers)

    def break_off(self, error: NaruError, event: bytes) -> None:
        self._carrier.break_off(error, event)

    def _add(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left >= 0:
            self._parts.append(data)
        else:
            self._parts.clear()
