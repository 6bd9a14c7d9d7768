"""A call to a model that has a cache: answered from there, or relayed and kept for the next one.

What can't be answered from there is relayed as if there were no cache. Identical requests at the same time each go to
an engine: see decision 0015.
"""

from collections.abc import Callable

from services.gateway.metrics import OK
from services.gateway.relay.cache.answer import LARGEST, Kept, Recording, decode, encode
from services.gateway.relay.cache.key import in_force
from services.gateway.relay.cache.store import BYPASS, HIT, MISS, UNAVAILABLE
from services.gateway.relay.call import Call
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.context import RelayContext
from services.gateway.relay.relay import Relay
from services.gateway.upstream.endpoint import Endpoint

CACHE_HEADER = b"x-naru-cache"
TOLD = {result: [(CACHE_HEADER, result.encode())] for result in (HIT, MISS, BYPASS)}
"""What a client is told."""
TOLD[UNAVAILABLE] = TOLD[BYPASS]


class CachedRelay(Relay):
    _recording: Recording | None = None

    def __init__(self, call: Call, carrier: Carrier, context: RelayContext, closed: Callable[[Relay], None]) -> None:
        super().__init__(call, carrier, context, closed)
        self._told = TOLD[BYPASS]

    def permitted(self) -> None:
        call = self._call
        if call.cache_key is not None:
            self._context.cache.get(call.pool.name, call.cache_key, self._found)
            return
        self._meter.cache = BYPASS
        if call.fallbacks:
            self._send()
        else:
            super().permitted()  # most: that the cache is not for them costs them next to nothing

    def _found(self, result: str, value: bytes | None) -> None:
        if self.over:
            return  # the client did not wait for it
        kept = None if value is None else decode(value)
        endpoint = None if kept is None else self._author(kept)
        self._meter.cache = MISS if result == HIT and endpoint is None else result
        self._told = TOLD[self._meter.cache]
        if kept is not None and endpoint is not None:
            self._dispatch.endpoint = endpoint
            self._replay(kept)
            return
        self._send()

    def _send(self) -> None:
        """To an engine. A full model overflows only now: what is kept needs no room there."""
        call, bounds = self._call, self._call.pool.entry.cache
        placed = self._context.admission.placed(call) if call.fallbacks else call
        if placed is not call:
            self._call = placed
            self._dispatch = self._new_dispatch()
        elif self._meter.cache == MISS and bounds is not None:
            self.carrier = self._recording = Recording(self.carrier, bounds.bytes // LARGEST)
        super().permitted()

    def _author(self, kept: Kept) -> Endpoint | None:
        """The endpoint that made the answer; where it has gone, another one of its version."""
        alike = [endpoint for endpoint in self._call.pool.endpoints if endpoint.version == kept.version]
        made = (endpoint for endpoint in alike if endpoint.authority == kept.authority)
        return next(made, alike[0] if alike else None)

    def _replay(self, kept: Kept) -> None:
        self._status, self._headers = 200, kept.headers
        if self._call.stream:
            if not self._begun:
                self._start(kept.headers)
            self.carrier.end(kept.body)
        else:
            self.carrier.whole(200, [*kept.headers, *self._head()], kept.body)
        self._meter.whole_left()
        self._finish(OK)

    def _close(self, outcome: str, status: int, reason: str | None = None, *, client_fault: bool = False) -> None:
        if self._recording is not None and outcome == OK and status == 200:
            self._keep(self._recording.body)
        super()._close(outcome, status, reason, client_fault=client_fault)

    def _keep(self, body: bytes | None) -> None:
        """Of complete answers, those of the model's own versions and of one engine."""
        call, endpoint = self._call, self._dispatch.endpoint
        key, bounds = call.cache_key, call.pool.entry.cache
        moved = self._mover is not None and self._mover.moved
        if key is None or bounds is None or endpoint is None or body is None or moved:
            return
        # A version of weight 0 stands in where no other one is well: its answers are not the model's for long.
        own = self._dispatch.pool is call.pool and endpoint.version in in_force(call)
        if own and (self._stream is not None) == call.stream:
            kept = Kept(endpoint.version, endpoint.authority, self._headers, body)
            self._context.cache.put(call.pool.name, bounds, key, encode(kept))
