"""A request's bytes as they go to an endpoint (RFC 9112), built once an endpoint is chosen."""

from collections.abc import Iterable

from services.gateway.upstream.endpoint import Endpoint

Header = tuple[bytes, bytes]


def lines(headers: Iterable[Header]) -> bytes:
    """Header lines, each with its end."""
    return b"".join([name + b": " + value + b"\r\n" for name, value in headers])  # half of what `%` takes


def headers(of: bytes) -> list[Header]:
    """The headers that these lines are."""
    split = (line.partition(b": ") for line in of.split(b"\r\n")[:-1])
    return [(name, value) for name, _, value in split]


def encode(method: str, path: str, endpoint: Endpoint, head: bytes, body: bytes) -> bytes:
    """Request line, Host, the header lines of `head`, Content-Length where there is a body, and the body."""
    start = f"{method} {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\n".encode("ascii")
    if not body and method != "POST":
        return b"%b%b\r\n" % (start, head)
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (start, head, len(body), body)
