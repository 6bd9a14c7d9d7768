"""What a request's headers say to the gateway, read in one pass."""

from collections.abc import Iterable

import msgspec

from services.gateway.api.door import FORWARDED
from services.gateway.api.request_id import sane
from services.gateway.routing.hints import ANYWHERE, HINT_HEADERS, Hints, read_hints
from services.gateway.upstream.request import Header

_MEANINGS = {
    b"authorization": "bearer", b"x-api-key": "api key", b"x-request-id": "request id",
    **dict.fromkeys(FORWARDED, "passed"), **dict.fromkeys(HINT_HEADERS, "hint"),
}  # fmt: skip


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
        meaning = _MEANINGS.get(header[0])
        if meaning is None:
            continue
        if meaning == "bearer":
            bearer = bearer or _bearer(header[1])
        elif meaning == "passed":
            passed.append(header)
        elif meaning == "request id":
            request_id = request_id or sane(header[1])
        elif meaning == "api key":
            api_key = api_key or header[1].decode("latin-1")
        else:
            hinted.append(header)
    return Heading(bearer or api_key, request_id, tuple(passed), read_hints(hinted) if hinted else ANYWHERE)


def _bearer(value: bytes) -> str | None:
    if value[:7].lower() != b"bearer ":
        return None
    return value[7:].strip().decode("latin-1") or None
