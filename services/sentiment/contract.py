"""The HTTP body of `POST /analyze`: what is accepted, and what each refusal says."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from services.common.errors import InvalidField, InvalidRequest

_LABELS = ("negative", "neutral", "positive")


@dataclass(frozen=True)
class Limits:
    """What one request may hold: texts, characters of each, characters of all."""

    texts: int
    characters: int
    total_characters: int


def parse(body: bytes, limits: Limits) -> list[str]:
    """The texts of a request. Raises InvalidRequest where it is not JSON, InvalidField with the field otherwise."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("the body is not valid JSON") from error
    if not isinstance(document, dict):
        raise InvalidField("the body must be a JSON object with the field 'input'", param="input")
    for name in document:
        if name != "input":
            raise InvalidField(f"unknown field '{name[:64]}'; the only field is 'input'", param=name[:64])
    if "input" not in document:
        raise InvalidField("'input' is missing: give a text or a list of texts", param="input")
    return _texts(document["input"], limits)


def _texts(value: Any, limits: Limits) -> list[str]:
    if isinstance(value, str):
        return [_text(value, "input", limits)]
    if not isinstance(value, list):
        raise InvalidField("'input' must be a text or a list of texts", param="input")
    if not value:
        raise InvalidField("'input' is an empty list: give at least one text", param="input")
    if len(value) > limits.texts:
        raise InvalidField(f"'input' has {len(value)} texts, the limit is {limits.texts}", param="input")
    texts = [_text(item, f"input[{i}]", limits) for i, item in enumerate(value)]
    total = sum(map(len, texts))
    if total > limits.total_characters:
        message = (
            f"'input' has {total} characters in all, the limit is {limits.total_characters}; send several requests"
        )
        raise InvalidField(message, param="input")
    return texts


def _text(value: Any, field: str, limits: Limits) -> str:
    if not isinstance(value, str):
        raise InvalidField(f"'{field}' must be a text", param=field)
    if not value.strip():
        raise InvalidField(f"'{field}' is empty", param=field)
    if len(value) > limits.characters:
        raise InvalidField(f"'{field}' has {len(value)} characters, the limit is {limits.characters}", param=field)
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidField(f"'{field}' holds half of a surrogate pair, which is no character", param=field)
    return value


def answer(model: str, version: str, probabilities: Sequence[Sequence[float]]) -> dict[str, Any]:
    """`probabilities`: per text, of negative, neutral and positive."""
    return {"model": model, "version": version, "results": [_result(row) for row in probabilities]}


def _result(row: Sequence[float]) -> dict[str, Any]:
    scores = dict(zip(_LABELS, row, strict=True))
    label = max(scores, key=scores.__getitem__)
    return {"label": label, "score": scores[label], "scores": scores}
