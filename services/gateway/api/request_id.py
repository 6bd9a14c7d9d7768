"""Every answer carries `x-request-id`: the client's own if it is sane, else a new one."""

import re
import secrets
from collections.abc import Callable
from itertools import count
from time import perf_counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


def sane(value: bytes) -> str | None:
    """A client's id, or None where it could not stand in a log and a header."""
    return value.decode("ascii") if _SANE.fullmatch(value) else None


def request_ids() -> Callable[[], str]:
    """New ids: 64 random bits for the process, then a count; a random number each would cost a system call each."""
    prefix, numbers = secrets.token_hex(8), count(1)
    return lambda: f"{prefix}{next(numbers):012x}"


class RequestIdMiddleware:
    """Puts the id into `scope["state"]["request_id"]` and on the answer, and when that was, as `began`. Pure ASGI: it
    buffers nothing."""

    def __init__(self, app: ASGIApp, new_id: Callable[[], str]) -> None:
        self._app, self._new_id = app, new_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = sane(given) or self._new_id()
        scope.setdefault("state", {}).update(request_id=request_id, began=perf_counter())

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        await self._app(scope, receive, send_with_id)
