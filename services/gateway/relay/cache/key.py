"""Which requests may be answered from the cache, and what makes two of them the same."""

import hashlib
from collections.abc import Sequence

import msgspec

from services.gateway.registry import Cache
from services.gateway.relay.bodies import Fields, fields_of
from services.gateway.relay.call import Call
from services.gateway.upstream.request import Header

FORMAT = 1
"""Of keys and values; a change of either makes all that is kept a miss."""
SAMPLED = frozenset({"chat", "text_completion"})
"""Operations whose answers are drawn: the same request gives the same answer only at temperature 0 and with a seed."""
SEED = b'"seed"'
"""Where a request has none, it is not one whose answer can be drawn again."""
FIXED = frozenset({"embeddings", "sentiment", "recommendation"})
"""Operations whose answers depend on nothing but the request."""
_TRACING = frozenset({b"traceparent", b"tracestate"})
"""Headers that an endpoint is sent and that change no answer."""
_AS_EVER = frozenset({(b"accept", b"*/*"), (b"accept", b"application/json")})
"""What clients that want nothing special say, if they say anything."""


def answer_key(call: Call, bounds: Cache, passed: Sequence[Header]) -> bytes | None:
    """SHA-256 of all that an answer depends on, and of who may have it; None where it is not to be kept.

    Two bodies are the same if their top-level fields are, in any order; a field is what was sent, byte for byte.
    """
    if call.operation in SAMPLED and SEED not in call.body:
        return None  # most such requests, for a twentieth of what reading them costs
    fields = fields_of(call.body)
    if not (call.operation in FIXED or (call.operation in SAMPLED and _repeatable(fields))):
        return None
    pool, named = call.pool, call.hints.version is not None
    parts = (
        FORMAT, call.operation, call.path, pool.name, pool.adapter, named, in_force(call),
        None if bounds.shared else call.tenant, call.stream, call.hide_usage,
        sorted(header for header in passed if header[0] not in _TRACING and header not in _AS_EVER),
        sorted((name, bytes(value)) for name, value in fields.items()),
    )  # fmt: skip
    return hashlib.sha256(msgspec.msgpack.encode(parts)).digest()


def in_force(call: Call) -> list[str]:
    """The versions whose answers a request may be given again: the one that it names, or those that take traffic."""
    if call.hints.version is not None:
        return [call.hints.version]
    return sorted(label for label, version in call.pool.entry.versions.items() if version.weight)


def _repeatable(fields: Fields) -> bool:
    temperature, seed = (_number(fields.get(name)) for name in ("temperature", "seed"))
    return temperature == 0 and isinstance(seed, int)


def _number(raw: msgspec.Raw | None) -> float | int | None:
    value = None if raw is None else msgspec.json.decode(raw)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
