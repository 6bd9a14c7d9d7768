"""W3C Trace Context, level 1: `traceparent` and `tracestate` (https://www.w3.org/TR/trace-context-1/)."""

import re
from collections.abc import Iterable

import msgspec

Header = tuple[bytes, bytes]
TRACEPARENT, TRACESTATE = b"traceparent", b"tracestate"
CONTEXT = frozenset({TRACEPARENT, TRACESTATE})
_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?").fullmatch
_LONGEST_STATE = 512
"""Bytes of a state that travel on (the least that the standard asks for); a longer one is left out."""


class Parent(msgspec.Struct, frozen=True, gc=False):
    """Where a request comes from."""

    trace: int
    span: int
    sampled: bool
    state: bytes
    """As a header line; empty where there is none."""


def parent_of(headers: Iterable[Header]) -> Parent | None:
    """None where the context is absent, malformed or given twice: the request then begins a trace."""
    given = state = b""
    for name, value in headers:
        if name == TRACEPARENT:
            given = value if not given else b"twice"
        elif name == TRACESTATE:
            state = value if not state else state + b"," + value
    found = _FORM(given)
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5]):
        return None
    trace, span = int(found[2], 16), int(found[3], 16)
    if not trace or not span:
        return None
    line = b"tracestate: %b\r\n" % state if 0 < len(state) <= _LONGEST_STATE else b""
    return Parent(trace, span, bool(int(found[4], 16) & 1), line)


def unrecorded(trace: str) -> bytes:
    """The header line of a trace that begins here and that nobody records: so its span, for which nobody will look, may
    be the half of its own id."""
    return f"traceparent: 00-{trace}-{trace[16:]}-00\r\n".encode()


def traceparent(trace: int, span: int, *, sampled: bool) -> bytes:
    """The header line."""
    return f"traceparent: 00-{trace:032x}-{span:016x}-{sampled:02x}\r\n".encode()
