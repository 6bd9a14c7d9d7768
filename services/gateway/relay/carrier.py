"""The client's side of a call: what an edge (HTTP over ASGI or straight, gRPC) gives the relay to answer into."""

from collections.abc import Callable
from typing import Protocol

from services.common.errors import NaruError
from services.gateway.upstream.exchange import Headers


class Carrier(Protocol):
    """The client's side of a call. It calls `Relay.resume` whenever all that it was given has been taken."""

    @property
    def chunks(self) -> Callable[[bytes], object] | None:
        """Takes what follows in HTTP/1.1's chunked coding, size lines included; None where the client's side is not
        written so."""

    @property
    def writes_lines(self) -> bool:
        """Whether it writes header lines, and fetches those of the caller's limits itself (`Relay.limit_lines`): to
        make headers of them first would take three times as long."""

    @property
    def flushed(self) -> bool:
        """Whether the client's connection has taken everything so far."""

    def start(self, status: int, headers: Headers) -> None:
        """The head of an answer that comes in pieces."""

    def write(self, data: bytes) -> None: ...

    def end(self, data: bytes = b"") -> None:
        """The last data, which came together with the end, and that."""

    def whole(self, status: int, headers: Headers, body: bytes) -> None:
        """A complete answer."""

    def error(self, error: NaruError, headers: Headers) -> None:
        """Nothing was sent yet: answer with an error in the edge's own form."""

    def break_off(self, error: NaruError, event: bytes) -> None:
        """The answer that had begun can't be completed; `event` says so in the stream's own form."""
