"""Durations as people write them."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _seconds(value: object) -> object:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
        if match is None:
            raise ValueError("give a duration such as 500ms, 2s or 1m")
        return float(match[1]) * _UNITS[match[2]]
    return value


Duration = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]
"""`500ms`, `2s`, `1m`, `1h` or a number of seconds; in seconds."""


def written(seconds: float) -> str:
    """For people: `450 ms`, `12 s`, `3 min`, `2.5 h`."""
    if seconds < 1:
        return f"{seconds * 1000:.4g} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
