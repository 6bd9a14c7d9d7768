"""The HTTP edge over ASGI: a request's key, body and headers in, a relayed response out."""

from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.api.body import read_body
from services.gateway.api.carrier import AsgiCarrier, RelayResponse
from services.gateway.api.door import FORWARDED, Admitted, Door, Order
from services.gateway.policy.authenticate import Principal
from services.gateway.relay.relay import Relay
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import read_hints
from services.gateway.settings import HttpSettings


class HttpEdge:
    def __init__(self, door: Door, settings: HttpSettings) -> None:
        self.door = door
        self.gate = door.gate
        self._settings = settings

    def enter(self, request: Request) -> Principal:
        """Raises Draining, Unauthenticated."""
        return self.door.enter(api_key(request))

    async def admit(self, request: Request) -> Admitted:
        """Raises what `enter` and `read_body` raise."""
        principal = self.enter(request)
        body = await read_body(request, self._settings)
        passed = tuple((name, value) for name, value in request.scope["headers"] if name in FORWARDED)
        hints = read_hints(request.scope["headers"])
        return Admitted(principal, body, perf_counter(), request.scope["state"]["request_id"], passed, hints)

    def relay(self, admitted: Admitted, pool: ModelPool, order: Order) -> Response:
        """The response that brings the endpoint's answer."""
        call = self.door.call(admitted, pool, order)

        def relay(carrier: AsgiCarrier) -> Relay:
            return self.door.open(call, carrier)

        return RelayResponse(relay, self._settings.write_timeout)


def api_key(request: Request) -> str | None:
    """The key from `authorization: Bearer …` (OpenAI's clients) or `x-api-key` (Anthropic's)."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    return request.headers.get("x-api-key") or None
