"""A glance at a body that is relayed: the fields that routing and metering need. Everything else travels untouched."""

import re
from typing import Any

import msgspec

from services.common.errors import InvalidField, InvalidRequest


class _Head(msgspec.Struct):
    model: str
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None


_read_head = msgspec.json.Decoder(_Head).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_ASK = b'"stream_options":{"include_usage":true}'
_FIELD = re.compile(r"at `\$\.(\w+)|required field `(\w+)`")


class Glance(msgspec.Struct, frozen=True, gc=False):
    model: str
    stream: bool
    body: bytes
    """What goes to the engine."""
    hide_usage: bool
    """Usage was asked for on the gateway's behalf."""


def glance(body: bytes, *, asks_for_usage: bool) -> Glance:
    """Raises InvalidRequest where the body is not JSON, InvalidField where a field that is needed is wrong."""
    try:
        head = _read_head(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _wrong(body, error) from None
    if not head.stream:
        return Glance(head.model, False, body, False)
    wanted = not asks_for_usage or bool((head.stream_options or {}).get("include_usage"))
    return Glance(head.model, True, body if wanted else _asking(body, head), not wanted)


def _wrong(body: bytes, error: msgspec.DecodeError | UnicodeDecodeError) -> InvalidRequest:
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequest(f"the body is not valid JSON: {error}")
    if not body.lstrip().startswith(b"{"):
        return InvalidRequest("the body must be a JSON object")
    match = _FIELD.search(str(error))
    param = (match[1] or match[2]) if match else None
    return InvalidField(f"{param or 'a field'} is missing or wrong: {error}", param=param)


def _asking(body: bytes, head: _Head) -> bytes:
    """The body with `stream_options.include_usage` on, every other byte of every other field as it was."""
    if head.stream_options is None and b'"stream_options"' not in body:
        brace = body.index(b"{") + 1
        return b"%b%b,%b" % (body[:brace], _ASK, body[brace:])
    fields = _read_fields(body)
    options = {**(head.stream_options or {}), "include_usage": True}
    fields["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    return msgspec.json.encode(fields)
