"""However a stream is cut, the splitter gives the same bytes and the meter the same counts."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.relay.dialects import OpenAIStream, Reading, Usage
from services.gateway.relay.sse import EventSplitter, EventTooLargeError, payload
from tests.support.engine import delta, event, usage

LINE_END = st.sampled_from([b"\n", b"\r\n"])
PAYLOADS = st.one_of(
    st.builds(lambda text: event(delta(content=text)), st.text()),
    st.builds(lambda text: event(delta(reasoning=text)), st.text(min_size=1)),
    st.just(event(delta(role="assistant", content=""))),
    st.builds(lambda a, b: event(usage(a, b)), st.integers(0, 9999), st.integers(0, 9999)),
    st.just(b": a comment\n\n"),
    st.just(b"event: ping\nid: 4\ndata: {}\n\n"),
    st.just(b'data: {"choices":\ndata: []}\n\n'),
    st.just(b"data: not json\n\n"),
)
STREAMS = st.builds(
    lambda events, end: b"".join([*events, b"data: [DONE]\n\n"]).replace(b"\n", end), st.lists(PAYLOADS), LINE_END
)


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(c % (len(data) + 1) for c in cuts)})
    return [data[a:b] for a, b in pairwise(marks)]


def readings(pieces: list[bytes]) -> tuple[list[Reading], bytes]:
    splitter, dialect = EventSplitter(1 << 20), OpenAIStream()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    meanings = [dialect.read_event(payload(event)) for event in events]
    return [m for m in meanings if m != Reading()], b"".join(events) + splitter.rest


@given(STREAMS, st.lists(st.integers(0, 10_000)))
def test_any_split_gives_the_same_bytes_and_counts(stream: bytes, cuts: list[int]) -> None:
    whole, split = readings([stream]), readings(cut(stream, cuts))
    assert split == whole
    assert whole[1] == stream
    assert whole[0][-1].done


@given(STREAMS)
def test_byte_by_byte_too(stream: bytes) -> None:
    assert readings([stream[i : i + 1] for i in range(len(stream))]) == readings([stream])


@given(st.lists(st.binary()))
def test_arbitrary_bytes_are_never_changed(pieces: list[bytes]) -> None:
    assert readings(pieces)[1] == b"".join(pieces)


def test_an_event_is_given_as_soon_as_it_is_whole() -> None:
    splitter = EventSplitter(100)
    assert splitter.feed(b"data: a") == []
    assert splitter.feed(b"\n") == []
    assert splitter.feed(b"\ndata: b\n\nda") == [b"data: a\n\n", b"data: b\n\n"]
    assert splitter.rest == b"da"


def test_an_event_without_end_is_bounded() -> None:
    splitter = EventSplitter(100)
    splitter.feed(b"x" * 100)
    with pytest.raises(EventTooLargeError):
        splitter.feed(b"x")


def test_usage_is_the_engines() -> None:
    found, _ = readings([event(delta(content="a")), event(usage(3, 9))])
    assert found == [Reading(content=True, text="a", plain=True), Reading(usage=Usage(3, 9), usage_only=True)]
