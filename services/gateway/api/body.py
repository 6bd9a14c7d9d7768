"""Read a request's body, bounded in bytes and seconds."""

import asyncio

from starlette.requests import ClientDisconnect, Request

from services.common.errors import BodyTooLarge, ClientGone, RequestTimeout
from services.gateway.settings import HttpSettings

DISCARDED = 8
"""Times the limit that is read and thrown away before a too large body is refused: a client that is still sending
would otherwise see its connection reset instead of the answer."""


async def read_body(request: Request, limits: HttpSettings) -> bytes:
    """The whole body. Raises BodyTooLarge, RequestTimeout, ClientGone."""
    try:
        async with asyncio.timeout(limits.body_timeout):
            return await _read(request, limits.max_body)
    except TimeoutError:
        raise RequestTimeout(f"the request's body did not arrive within {limits.body_timeout:g} s") from None
    except ClientDisconnect:
        raise ClientGone("the client left before its request was complete") from None


async def _read(request: Request, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    if int(request.headers.get("content-length", "0")) > limit * DISCARDED:
        raise too_large(limit)
    async for part in request.stream():
        size += len(part)
        if size <= limit:
            parts.append(part)
        elif size > limit * DISCARDED:
            break
    if size > limit:
        raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> BodyTooLarge:
    return BodyTooLarge(f"the request's body is larger than the {limit} bytes allowed here")
