"""One attempt of a dispatch: an exchange, and a refusal that is held back until no other endpoint can do better."""

from typing import Protocol

from services.common.errors import UpstreamError
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers
from services.gateway.upstream.limits import Limits

HELD = frozenset({429, 502, 503})
"""Statuses with which an endpoint says that it can't answer now; another one may."""
LONGEST_REFUSAL = 64 * 2**10
"""Bytes of a refusal's body that are kept."""


class Owner(Protocol):
    """What an attempt reports to."""

    def on_head(self, attempt: "Attempt", status: int, headers: Headers) -> None:
        """The owner says `deliver_to` where the data is for, if it wants any."""

    def on_end(self, attempt: "Attempt") -> None: ...
    def on_answer(self, attempt: "Attempt", headers: Headers, body: bytes) -> None: ...
    def on_fail(self, attempt: "Attempt", error: UpstreamError) -> None: ...


class Attempt:
    """The sink of its exchange."""

    __slots__ = ("_kept", "_owner", "_parts", "endpoint", "exchange", "headers", "probe", "status")

    def __init__(self, owner: Owner, endpoint: Endpoint, request: bytes, limits: Limits) -> None:
        self._owner = owner
        self.endpoint = endpoint
        self.probe = not endpoint.circuit.closed and endpoint.circuit.begin()
        """Whether this is the one request that decides on an ejected endpoint."""
        self.status = 0
        self.headers: Headers = []
        self._parts: list[bytes] = []
        self._kept = 0
        self.exchange = Exchange(endpoint, request, self, limits)

    @property
    def refused(self) -> bool:
        """Whether the endpoint answered with one of `HELD`: `status`, `headers` and `body` say how."""
        return self.status in HELD

    @property
    def body(self) -> bytes:
        return b"".join(self._parts)

    def cancel(self) -> None:
        """Give it up without a verdict on the endpoint."""
        self.endpoint.circuit.abandoned(probe=self.probe)
        self.exchange.cancel()

    # Sink

    def on_head(self, status: int, headers: Headers) -> None:
        self.status = status
        if status in HELD:
            self.headers = headers
        else:
            self._owner.on_head(self, status, headers)

    def on_data(self, data: bytes) -> None:
        """A refusal's; any other answer's goes to where the owner wants it."""
        if self._kept < LONGEST_REFUSAL:
            self._parts.append(data)
            self._kept += len(data)

    def on_end(self) -> None:
        self._owner.on_end(self)

    def on_answer(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        if status in HELD:
            self.headers, self._parts = headers, [body[:LONGEST_REFUSAL]]
            self._owner.on_end(self)
        else:
            self._owner.on_answer(self, headers, body)

    def on_fail(self, error: UpstreamError) -> None:
        self._owner.on_fail(self, error)
