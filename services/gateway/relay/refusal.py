"""What a client is told when an endpoint refused its request."""

import msgspec

from services.common.errors import InvalidRequest, NaruError, Saturated, Unavailable, UpstreamError


class _Said(msgspec.Struct):
    message: str


class _Refusal(msgspec.Struct):
    error: _Said


_read_refusal = msgspec.json.Decoder(_Refusal).decode


def upstream_error(model: str, status: int, retry_after: bytes = b"") -> NaruError:
    """For a 5xx, or a refusal that clients of these APIs could not read; `retry_after` is the endpoint's header."""
    if status == 503:
        seconds = int(retry_after) if retry_after.isdigit() else 2
        return Unavailable(f"model {model!r} is overloaded or starting; try again shortly", retry_after=seconds)
    return UpstreamError(f"model {model!r} answered with an error of its own (status {status})")


def late_refusal(model: str, status: int, body: bytes) -> NaruError:
    """For a whole answer to a client that has the head of a stream already."""
    if status < 400:
        return UpstreamError(f"model {model!r} answered without a stream")
    if status == 429:
        return Saturated(f"model {model!r} takes no further request now; try again shortly", retry_after=1)
    try:
        return InvalidRequest(_read_refusal(body).error.message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return InvalidRequest(f"model {model!r} refused the request (status {status})")
