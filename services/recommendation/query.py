"""What a request may ask, checked by hand so that every refusal names the field and the remedy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from services.common.errors import InvalidField, InvalidRequest

_DEFAULT_K = 10
_MAX_ID_LENGTH = 256


class Query(BaseModel):
    """A valid request; ids are strings."""

    user_id: str | None = None
    history: list[str] = []
    k: int = _DEFAULT_K
    exclude_seen: bool = True


@dataclass(frozen=True)
class Limits:
    max_k: int
    max_history: int


def parse(body: bytes, limits: Limits) -> Query:
    """Raises InvalidRequest (400) when `body` is not a JSON object, InvalidField (422) when a field is wrong."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest('the body is not valid JSON; send an object such as {"history": ["50"]}') from error
    if not isinstance(document, dict):
        raise InvalidRequest('the body is not a JSON object; send one such as {"history": ["50"]}')
    _refuse_unknown(document)
    user_id = document.get("user_id")
    return Query(
        user_id=None if user_id is None else _id(user_id, "user_id"),
        history=_history(document.get("history"), limits.max_history),
        k=_k(document.get("k"), limits.max_k),
        exclude_seen=_exclude_seen(document.get("exclude_seen")),
    )


def _refuse_unknown(document: Mapping[str, Any]) -> None:
    known = list(Query.model_fields)
    for name in document:
        if name not in known:
            shown = name[:64].encode(errors="replace").decode()
            raise InvalidField(f"unknown field {shown!r}; the fields are {', '.join(known)}", param=shown)


def _history(value: object, limit: int) -> list[str]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidField("history must be a list of item ids, oldest first", param="history")
    if len(value) > limit:
        raise InvalidField(f"history has {len(value)} items, the limit is {limit}; send the newest", param="history")
    return [_id(item, f"history[{place}]", param="history") for place, item in enumerate(value)]


def _id(value: object, name: str, param: str | None = None) -> str:
    """Ids are strings; whole numbers are taken as their digits because many catalogues number their items."""
    param = param or name
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InvalidField(f"{name} must be a string (or a whole number)", param=param)
    text = str(value)
    if not 0 < len(text) <= _MAX_ID_LENGTH:
        raise InvalidField(f"{name} must have 1 to {_MAX_ID_LENGTH} characters, it has {len(text)}", param=param)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidField(f"{name} is not valid Unicode text", param=param) from error
    return text


def _k(value: object, limit: int) -> int:
    if value is None:
        return min(_DEFAULT_K, limit)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= limit:
        raise InvalidField(f"k must be a whole number from 1 to {limit}", param="k")
    return value


def _exclude_seen(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, bool):
        raise InvalidField("exclude_seen must be true or false", param="exclude_seen")
    return value
