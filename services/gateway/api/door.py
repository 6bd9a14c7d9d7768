"""The door: what every surface, over whichever transport, does with a request before and after its own translation."""

import msgspec

from services.gateway.api.urgency import ORDINARY, Urgency
from services.gateway.policy.deadline import Deadline
from services.gateway.policy.drain import Drain
from services.gateway.policy.gate import Gate
from services.gateway.policy.keyring import Principal
from services.gateway.relay.cache.key import answer_key
from services.gateway.relay.cached import CachedRelay
from services.gateway.relay.call import Call
from services.gateway.relay.carrier import Carrier
from services.gateway.relay.context import RelayContext
from services.gateway.relay.dialects import Dialect
from services.gateway.relay.mirror import Mirror, MirroredCachedRelay, MirroredRelay
from services.gateway.relay.relay import Relay
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import ANYWHERE, Hints
from services.gateway.routing.prefixes import BLOCK
from services.gateway.upstream.request import Header, lines

JSON = (b"content-type", b"application/json")
FORWARDED = frozenset(
    {b"accept", b"anthropic-version", b"anthropic-beta", b"openai-beta", b"traceparent", b"tracestate"}
)
"""A client's headers that mean something to an engine."""


class Order(msgspec.Struct, frozen=True, gc=False):
    """What a surface wants sent, in the endpoint's terms."""

    operation: str
    dialect: Dialect
    path: str
    body: bytes
    stream: bool = False
    hide_usage: bool = False
    prompt: bytes = b""
    """The JSON name, quotes included, at which the prompt begins; empty where prompts are not worth comparing."""


class Admitted(msgspec.Struct, frozen=True, gc=False):
    """A request that may come in."""

    principal: Principal
    body: bytes
    received: float
    """`time.perf_counter()` when the request's last byte was here."""
    request_id: str
    passed: tuple[Header, ...] = ()
    """Of `FORWARDED`, what the client sent."""
    hints: Hints = ANYWHERE
    urgency: Urgency = ORDINARY
    due: float | None = None
    """`time.perf_counter()` at the transport's own deadline."""
    uncached: bool = False
    """The client wants an answer made for it."""
    entered: float = 0.0
    """`time.perf_counter()` before its key was looked at."""
    authenticated: float = 0.0
    """And after."""


class Door:
    def __init__(self, gate: Gate, drain: Drain, context: RelayContext, mirror: Mirror, upstream_key: str | None):
        self.gate = gate
        self._drain, self._context, self._mirror = drain, context, mirror
        key = [] if upstream_key is None else [(b"authorization", f"Bearer {upstream_key}".encode())]
        self._fixed = lines([JSON, *key])

    def enter(self, key: str | None) -> Principal:
        """Raises Draining, Unauthenticated."""
        return self.gate.enter(key)

    def call(self, admitted: Admitted, pool: ModelPool, order: Order) -> Call:
        """Raises UnknownVersion, InvalidField."""
        hints, principal = admitted.hints, admitted.principal
        priority, due = principal.priority, admitted.due
        if admitted.urgency is not ORDINARY:
            priority = admitted.urgency.lowered(priority or pool.role.priority)
            due = sooner(due, admitted.urgency.due(admitted.received))
        if hints.version is not None:
            pool.check(hints)
        if order.prompt and len(order.body) > BLOCK:
            hints = hints.about(order.body, order.prompt)
        trace, passed = self._context.traces.begin(admitted.passed)
        trace.checked(admitted.entered, admitted.authenticated)
        call = Call(
            operation=order.operation, dialect=order.dialect, pool=pool, path=order.path, body=order.body,
            head=b"%b%bx-request-id: %b\r\n" % (
                self._fixed, lines(passed) if passed else b"", admitted.request_id.encode()
            ),
            stream=order.stream, hide_usage=order.hide_usage, tenant=principal.tenant,
            request_id=admitted.request_id, received=admitted.received, hints=hints,
            fallbacks=self.gate.fallbacks(principal, pool) if pool.fallbacks else (),
            weight=principal.weight, priority=priority, due=due,
            account=self.gate.quotas.account(principal, len(order.body), stream=order.stream),
            trace=trace,
        )  # fmt: skip
        if pool.entry.cache is None or admitted.uncached:
            return call
        key = answer_key(call, pool.entry.cache, admitted.passed)
        return call if key is None else msgspec.structs.replace(call, cache_key=key)

    def open(self, call: Call, carrier: Carrier) -> Relay:
        """The call's relay, which drain waits for from now on; whoever owns the carrier then calls `begin`."""
        if call.fallbacks and call.pool.entry.cache is None:
            call = self._context.admission.placed(call)
        kind = _kind(call.pool)
        if call.due is None:
            relay = kind(call, carrier, self._context, self._drain.leave)
        else:
            deadline = Deadline(call.due, self._drain.leave)
            relay = kind(call, carrier, self._context, deadline.closed)
            deadline.watch(relay)
        if call.pool.shadows and isinstance(relay, (MirroredRelay, MirroredCachedRelay)):
            relay.mirror = self._mirror
        self._drain.enter(relay)
        return relay


def _kind(pool: ModelPool) -> type[Relay]:
    if pool.shadows:
        return MirroredRelay if pool.entry.cache is None else MirroredCachedRelay
    return Relay if pool.entry.cache is None else CachedRelay


def sooner(one: float | None, other: float | None) -> float | None:
    return min((due for due in (one, other) if due is not None), default=None)
