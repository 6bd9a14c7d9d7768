"""A call: one client's request, admitted and ready to be sent."""

import msgspec

from services.gateway.registry import Priority
from services.gateway.relay.account import NOBODY, Account
from services.gateway.relay.dialects import Dialect
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import ANYWHERE, Hints
from services.gateway.tracing.trace import UNTRACED, Trace


class Call(msgspec.Struct, frozen=True, gc=False):
    operation: str
    """chat, text_completion, responses, messages, embeddings, sentiment or recommendation."""
    dialect: Dialect
    pool: ModelPool
    path: str
    """The path on the endpoint."""
    body: bytes
    head: bytes
    """Header lines: what travels to the endpoint beside framing: content type, request id; never the client's key."""
    stream: bool
    hide_usage: bool
    """The gateway asked the engine for usage, the client did not: the event that carries only usage stays here."""
    tenant: str
    request_id: str
    received: float
    """`time.perf_counter()` when the request's last byte was here."""
    hints: Hints = ANYWHERE
    fallbacks: tuple[ModelPool, ...] = ()
    """Models that may answer, in this order, where no endpoint of `pool` can."""
    weight: float = 1.0
    """The tenant's share of a busy model, relative to the others'."""
    priority: Priority | None = None
    """None: as the model's role says."""
    due: float | None = None
    """`time.perf_counter()` when the answer is of no use any more, where the client said so."""
    account: Account = NOBODY
    """Whose limits it counts against, and who is charged."""
    trace: Trace = UNTRACED
    cache_key: bytes | None = None
    """Under which its answer is kept, where the model has a cache and the answer may be."""
