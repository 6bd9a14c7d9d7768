"""A route as data: what answers it, and what the documentation says of it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True, slots=True)
class ApiRoute:
    method: str
    path: str
    answer: Callable[[Request], Awaitable[Response]]
    summary: str
    tag: str
    """The part of the documentation that it stands in."""
    name: str | None = None
    """The operation's id there."""
    keyed: bool = True
    """Whether it wants an API key."""
    result: Any = None
    """The type of a good answer's body."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What OpenAPI's operation object says beyond that."""


def path_parameters(path: str) -> dict[str, Any]:
    """The `details` of a path's own parameters."""
    names = re.findall(r"{(\w+):path}", path)
    return {"parameters": [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]}
