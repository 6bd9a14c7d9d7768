"""The HTTP edge over ASGI: a request's key, body and headers in, a relayed response out."""

from time import perf_counter

from starlette.requests import Request
from starlette.responses import Response

from services.gateway.api.body import read_body
from services.gateway.api.carrier import AsgiCarrier, RelayResponse
from services.gateway.api.door import Admitted, Door, Order
from services.gateway.api.heading import read_heading
from services.gateway.policy.keyring import Principal
from services.gateway.relay.relay import Relay
from services.gateway.routing.fleet import ModelPool
from services.gateway.settings import HttpSettings


class HttpEdge:
    def __init__(self, door: Door, settings: HttpSettings) -> None:
        self.door = door
        self.gate = door.gate
        self._settings = settings

    def enter(self, request: Request) -> Principal:
        """Raises Draining, Unauthenticated."""
        return self.door.enter(read_heading(request.scope["headers"]).key)

    async def admit(self, request: Request) -> Admitted:
        """Raises what `enter` and `read_body` raise."""
        heading = read_heading(request.scope["headers"])
        entered = perf_counter()
        principal = self.door.enter(heading.key)
        authenticated = perf_counter()
        body = await read_body(request, self._settings)
        request_id = request.scope["state"]["request_id"]
        return Admitted(
            principal, body, perf_counter(), request_id, heading.passed, heading.hints, heading.urgency,
            uncached=heading.uncached, entered=entered, authenticated=authenticated,
        )  # fmt: skip

    def relay(self, admitted: Admitted, pool: ModelPool, order: Order) -> Response:
        """The response that brings the endpoint's answer."""
        call = self.door.call(admitted, pool, order)

        def relay(carrier: AsgiCarrier) -> Relay:
            return self.door.open(call, carrier)

        return RelayResponse(relay, self._settings.write_timeout)
