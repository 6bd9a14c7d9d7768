"""A request's bytes as they go to an endpoint (RFC 9112), built once an endpoint is chosen."""

from collections.abc import Iterable

from services.gateway.upstream.endpoint import Endpoint

Header = tuple[bytes, bytes]


def encode(method: str, path: str, endpoint: Endpoint, headers: Iterable[Header], body: bytes) -> bytes:
    """Request line, Host, the given headers, Content-Length where there is a body, and the body."""
    lines = [f"{method} {path} HTTP/1.1\r\nhost: {endpoint.authority}\r\n".encode("ascii")]
    lines += [b"%b: %b\r\n" % header for header in headers]
    if body or method == "POST":
        lines.append(b"content-length: %d\r\n" % len(body))
    return b"".join([*lines, b"\r\n", body])
