"""The door: what every HTTP surface does with a request before and after its own translation."""

from dataclasses import dataclass
from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.api.body import read_body
from services.gateway.api.carrier import AsgiCarrier, RelayResponse
from services.gateway.policy.authenticate import Principal
from services.gateway.policy.drain import Drain
from services.gateway.policy.gate import Gate
from services.gateway.relay.call import Call
from services.gateway.relay.dialects import Dialect
from services.gateway.relay.relay import Relay, RelayContext
from services.gateway.routing.fleet import ModelPool
from services.gateway.settings import HttpSettings
from services.gateway.upstream.request import Header

JSON = (b"content-type", b"application/json")
FORWARDED = ("accept", "anthropic-version", "anthropic-beta", "openai-beta", "traceparent", "tracestate")
"""A client's headers that mean something to an engine."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a surface wants sent, in the endpoint's terms."""

    operation: str
    dialect: Dialect
    path: str
    body: bytes
    stream: bool = False
    hide_usage: bool = False


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may come in: who asks, what it says, and when its last byte was here."""

    principal: Principal
    body: bytes
    received: float


class Door:
    def __init__(self, gate: Gate, drain: Drain, context: RelayContext, http: HttpSettings, upstream_key: str | None):
        self.gate = gate
        self._drain, self._context, self._http = drain, context, http
        self._fixed = (JSON,) if upstream_key is None else (JSON, (b"authorization", f"Bearer {upstream_key}".encode()))

    def enter(self, request: Request) -> Principal:
        """Raises Draining, Unauthenticated."""
        return self.gate.enter(api_key(request))

    async def admit(self, request: Request) -> Admitted:
        """Raises what `enter` and `read_body` raise."""
        principal = self.enter(request)
        body = await read_body(request, self._http)
        return Admitted(principal, body, perf_counter())

    def relay(self, request: Request, admitted: Admitted, pool: ModelPool, order: Order) -> Response:
        """The response that brings the endpoint's answer."""
        call = Call(
            operation=order.operation, dialect=order.dialect, pool=pool, path=order.path, body=order.body,
            headers=self._headers(request), stream=order.stream,
            hide_usage=order.hide_usage, tenant=admitted.principal.tenant,
            request_id=request.scope["state"]["request_id"], received=admitted.received,
        )  # fmt: skip

        def relay(carrier: AsgiCarrier) -> Relay:
            relay = Relay(call, carrier, self._context, self._drain.leave)
            self._drain.enter(relay)
            return relay

        return RelayResponse(relay, self._http.write_timeout)

    def _headers(self, request: Request) -> tuple[Header, ...]:
        passed = [
            (name.encode(), value.encode("latin-1"))
            for name in FORWARDED
            if (value := request.headers.get(name)) is not None
        ]
        request_id: str = request.scope["state"]["request_id"]
        return (*self._fixed, *passed, (b"x-request-id", request_id.encode()))


def api_key(request: Request) -> str | None:
    """The key from `authorization: Bearer …` (OpenAI's clients) or `x-api-key` (Anthropic's)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key") or None
