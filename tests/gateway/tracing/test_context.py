"""W3C Trace Context: what is understood, and what begins a new trace."""

import pytest

from services.gateway.tracing.context import Parent, parent_of, traceparent, unrecorded

TRACE, SPAN = 0x4BF92F3577B34DA6A3CE929D0E0E4736, 0x00F067AA0BA902B7
GIVEN = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_parent() -> None:
    assert parent_of([(b"traceparent", GIVEN)]) == Parent(TRACE, SPAN, sampled=True, state=b"")
    assert traceparent(TRACE, SPAN, sampled=True) == b"traceparent: %b\r\n" % GIVEN


def test_its_state_travels_and_a_very_long_one_does_not() -> None:
    headers = [(b"traceparent", GIVEN), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    found = parent_of(headers)
    assert found is not None
    assert found.state == b"tracestate: a=1,b=2\r\n"
    found = parent_of([*headers, (b"tracestate", b"c=" + b"x" * 600)])
    assert found is not None
    assert found.state == b""


def test_of_a_later_version_the_known_part_counts() -> None:
    assert parent_of([(b"traceparent", b"cc" + GIVEN[2:] + b"-what-comes")]) == Parent(TRACE, SPAN, True, b"")


def test_one_that_is_given_twice_is_none() -> None:
    assert parent_of([(b"traceparent", GIVEN), (b"traceparent", GIVEN)]) is None


def test_a_trace_that_nobody_records_says_so_and_has_a_span() -> None:
    name, _, line = unrecorded(f"{TRACE:032x}").partition(b": ")
    assert (name, line[-2:]) == (b"traceparent", b"\r\n")
    assert parent_of([(name, line[:-2])]) == Parent(TRACE, TRACE & (1 << 64) - 1, sampled=False, state=b"")


@pytest.mark.parametrize("flags", [b"00", b"02"])
def test_the_flag_says_whether_it_is_recorded(flags: bytes) -> None:
    found = parent_of([(b"traceparent", GIVEN[:-2] + flags)])
    assert found is not None
    assert not found.sampled


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", GIVEN[:-1], GIVEN + b"0", GIVEN + b"-more", GIVEN.upper(), b"ff" + GIVEN[2:], GIVEN[:-3] + b"-0g",
        b"00-" + b"0" * 32 + GIVEN[35:], GIVEN[:36] + b"0" * 16 + GIVEN[52:], b" " + GIVEN, GIVEN.replace(b"-", b"_"),
    ],
)  # fmt: skip
def test_a_malformed_parent_is_none(value: bytes) -> None:
    assert parent_of([(b"traceparent", value), (b"tracestate", b"a=1")]) is None
