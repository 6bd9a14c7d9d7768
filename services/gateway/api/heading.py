"""What a request's headers say to the gateway, read in one pass."""

from collections.abc import Iterable

import msgspec

from services.gateway.api.door import FORWARDED
from services.gateway.api.request_id import sane
from services.gateway.routing.hints import ANYWHERE, HINT_HEADERS, Hints, read_hints
from services.gateway.upstream.request import Header


class Heading(msgspec.Struct, frozen=True, gc=False):
    key: str | None
    """From `authorization: Bearer …` (OpenAI's clients) or `x-api-key` (Anthropic's)."""
    request_id: str | None
    """The client's own, where it could stand in a log and a header."""
    passed: tuple[Header, ...]
    """Of `FORWARDED`, what the client sent."""
    hints: Hints


def read_heading(headers: Iterable[Header]) -> Heading:
    """`headers` with their names in lower case; of a name that comes twice the first counts."""
    bearer = api_key = request_id = None
    passed, hinted = [], []
    for header in headers:
        name = header[0]
        if name == b"authorization":
            bearer = bearer or _bearer(header[1])
        elif name in FORWARDED:
            passed.append(header)
        elif name == b"x-request-id":
            request_id = request_id or sane(header[1])
        elif name == b"x-api-key":
            api_key = api_key or header[1].decode("latin-1")
        elif name in HINT_HEADERS:
            hinted.append(header)
    return Heading(bearer or api_key, request_id, tuple(passed), read_hints(hinted) if hinted else ANYWHERE)


def _bearer(value: bytes) -> str | None:
    scheme, _, key = value.decode("latin-1").partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None
