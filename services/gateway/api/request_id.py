"""Every answer carries `x-request-id`: the client's own if it is sane, else a new one."""

import re
import uuid

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SANE = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")


class RequestIdMiddleware:
    """Puts the id into `scope["state"]["request_id"]` and on the answer. Pure ASGI: it buffers nothing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = given(scope["headers"]) or uuid.uuid4().hex.encode()
        scope.setdefault("state", {})["request_id"] = request_id.decode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-request-id", request_id)]
            await send(message)

        await self._app(scope, receive, send_with_id)


def given(headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """The client's id, or None where there is none that could stand in a log and a header."""
    value = next((value for name, value in headers if name == b"x-request-id"), b"")
    return value if _SANE.fullmatch(value) else None
