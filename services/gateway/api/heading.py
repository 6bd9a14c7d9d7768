"""What a request's headers say to the gateway, read in one pass."""

from collections.abc import Iterable

import msgspec

from services.gateway.api.door import FORWARDED
from services.gateway.api.request_id import sane
from services.gateway.api.urgency import ORDINARY, URGENCY_HEADERS, Urgency, read_urgency
from services.gateway.routing.hints import ANYWHERE, HINT_HEADERS, Hints, read_hints
from services.gateway.upstream.request import Header

CACHE_CONTROL = b"cache-control"
_UNCACHED = frozenset({b"no-cache", b"no-store"})
"""RFC 9111, 5.2.1; here they are the same: the answer is neither taken from the cache nor kept."""
_MEANINGS = {
    b"authorization": "bearer", b"x-api-key": "api key", b"x-request-id": "request id", b"expect": "expect",
    b"content-length": "length",
    **dict.fromkeys(FORWARDED, "passed"), **dict.fromkeys(HINT_HEADERS | URGENCY_HEADERS | {CACHE_CONTROL}, "rare"),
}  # fmt: skip


class Heading(msgspec.Struct, frozen=True, gc=False):
    key: str | None
    """From `authorization: Bearer …` (OpenAI's clients) or `x-api-key` (Anthropic's)."""
    request_id: str | None
    """The client's own, where it could stand in a log and a header."""
    passed: tuple[Header, ...]
    """Of `FORWARDED`, what the client sent."""
    hints: Hints
    length: int
    """Of the body, in bytes; 0 where it comes in chunks."""
    expects: bool
    """The client waits for `100 Continue` (RFC 9110, 10.1.1)."""
    urgency: Urgency
    uncached: bool
    """The client wants an answer made for it (`cache-control`: `no-cache` or `no-store`)."""


def read_heading(headers: Iterable[Header]) -> Heading:
    """`headers` with their names in lower case; of a name that comes twice the first counts."""
    bearer = api_key = request_id = None
    length, expects = 0, False
    passed, rare = [], []
    for header in headers:
        meaning = _MEANINGS.get(header[0])
        if meaning is None:
            continue
        if meaning == "length":
            length = int(header[1])
        elif meaning == "bearer":
            value = header[1]
            if bearer is None and value[:7].lower() == b"bearer ":
                bearer = value[7:].strip().decode("latin-1")
        elif meaning == "passed":
            passed.append(header)
        elif meaning == "request id":
            request_id = request_id or sane(header[1])
        elif meaning == "api key":
            api_key = api_key or header[1].decode("latin-1")
        elif meaning == "expect":
            expects = header[1].lower() == b"100-continue"
        else:
            rare.append(header)
    # An empty bearer is none.
    return Heading(
        bearer or api_key, request_id, tuple(passed), read_hints(rare) if rare else ANYWHERE, length, expects,
        read_urgency(rare) if rare else ORDINARY, bool(rare) and _uncached(rare),
    )  # fmt: skip


def _uncached(headers: Iterable[Header]) -> bool:
    said = (value.lower().split(b",") for name, value in headers if name == CACHE_CONTROL)
    return any(directive.strip() in _UNCACHED for directives in said for directive in directives)
