"""Request bodies written again for another model or engine; every field not concerned keeps its bytes."""

from typing import Any

import msgspec

Fields = dict[str, msgspec.Raw]

_read_fields = msgspec.json.Decoder(Fields).decode


def fields_of(body: bytes) -> Fields:
    """The top-level fields of a body that is known to be a JSON object."""
    return _read_fields(body)


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def for_model(body: bytes, name: str) -> bytes:
    """The body with this model's name where it names one."""
    fields = fields_of(body)
    if "model" not in fields:
        return body
    return msgspec.json.encode({**fields, "model": raw(name)})


def asks_once(body: bytes) -> bool:
    """Whether there is one answer to the request: no `n`, no list of prompts."""
    fields = fields_of(body)
    count, prompt = (msgspec.json.decode(fields.get(name, b"null")) for name in ("n", "prompt"))
    several = isinstance(prompt, list) and not all(isinstance(token, int) for token in prompt)
    return count in (None, 1) and not several
