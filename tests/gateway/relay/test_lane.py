"""The short way takes what means the same as the long way would say, and nothing else."""

from typing import cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.relay.call import Call
from services.gateway.relay.dialects import OpenAIStream
from services.gateway.relay.lane import Lane
from services.gateway.relay.meter import Meter
from services.gateway.relay.migration import Transcript
from tests.support.engine import delta


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(content), content)


def event(payload: object) -> bytes:
    return b"data: %b\n\n" % msgspec.json.encode(payload)


def says(text: str) -> bytes:
    return chunk(event(delta(content=text)))


class Books:
    """What a lane wrote and told a meter."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.gaps: list[float] = []
        self.meter = Meter(cast(Call, None))  # whose it is, neither asks
        self.meter.gap = self.gaps.append


def entered(lane: Lane, books: Books) -> int:
    """The pieces, once the lane has said what it took."""
    lane.settle()
    lane.settle()  # says it once
    return books.meter.pieces


def learned(text: str = "ferry", longest: int = 10_000) -> tuple[Lane, Books, Transcript]:
    books, transcript = Books(), Transcript(longest)
    lane = Lane(books.written.append, books.meter, transcript)
    assert lane.learn(OpenAIStream(), msgspec.json.encode(delta(content=text)), text)
    lane.ready()
    return lane, books, transcript


@pytest.mark.parametrize("text", [" a", "나루", "é" * 300, "x", "content", "a" * 4000])
def test_further_text_travels_in_its_own_chunk(text: str) -> None:
    lane, books, transcript = learned()
    assert lane.take(says(text))
    assert (books.written, entered(lane, books), transcript.pieces) == ([says(text)], 1, [text])
    assert books.meter.last == lane.last == sum(books.gaps) > 0


def test_chunks_that_came_at_once_go_on_at_once() -> None:
    lane, books, transcript = learned()
    data = says("a") + says("나루") + says("c" * 500)
    assert lane.take(data)
    assert (books.written, entered(lane, books), transcript.pieces) == ([data], 3, ["a", "나루", "c" * 500])


ALIKE = says("b")
UNLIKE = {
    "an escape": says('say "hi"'),
    "a line end in the text": says("a\nb"),
    "no text": says(""),
    "the end": chunk(event({"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]})),
    "a role": chunk(event(delta(role="assistant", content="b"))),
    "reasoning": chunk(event(delta(reasoning_content="b"))),
    "another answer's": chunk(event({**delta(content="b"), "id": "other"})),
    "with usage": chunk(event({**delta(content="b"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}})),
    "done": chunk(b"data: [DONE]\n\n"),
    "half a chunk": ALIKE[:-7],
    "a chunk and a half": ALIKE + ALIKE[:-7],
    "the middle of one": ALIKE[20:],
    "too small a size": b"1" + ALIKE[2:],
    "too large a size": b"f" + ALIKE,
    "a size in capitals": b"AB" + says("b" * (0xAB - len(event(delta(content="")))))[2:],
    "an extension": ALIKE.replace(b"\r\n", b";x=y\r\n", 1),
    "two events in a chunk": chunk(event(delta(content="a")) + event(delta(content="b"))),
    "lines that end otherwise": chunk(event(delta(content="a")).replace(b"\n", b"\r\n")),
    "no UTF-8": says("b").replace(b'"b"', b'"\xff"'),
    "a raw control character": says("b").replace(b'"b"', b'"\x01"'),
    "nothing of the kind": b"HTTP/1.1 500 Oh\r\n\r\n",
    "the last chunk": b"0\r\n\r\n",
}


@pytest.mark.parametrize("data", UNLIKE.values(), ids=UNLIKE)
def test_all_else_takes_the_long_way(data: bytes) -> None:
    lane, books, transcript = learned()
    assert not lane.take(data)
    assert not lane.take(ALIKE + data)
    assert (books.written, entered(lane, books), transcript.pieces) == ([], 0, [])


def test_more_text_than_is_remembered_takes_the_long_way_where_it_is_forgotten() -> None:
    lane, books, transcript = learned(longest=6)
    assert lane.take(says("12345"))
    assert not lane.take(says("6"))
    assert entered(lane, books) == 1
    transcript.add(b"", OpenAIStream().read_event(msgspec.json.encode(delta(content="6"))))
    assert lane.ready().take(says("7890"))
    assert (entered(lane, books), transcript.pieces) == (2, [])


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        pytest.param(delta(content="content"), "content", id="the same string is a name"),
        pytest.param({**delta(content="m"), "model": "m"} | {"id": "m"}, "m", id="the same string is the id"),
        pytest.param(delta(content='"'), '"', id="an escape"),
    ],
)
def test_an_event_whose_text_can_not_be_told_apart_is_no_pattern(payload: dict[str, object], text: str) -> None:
    books = Books()
    lane = Lane(books.written.append, books.meter, None)
    line = msgspec.json.encode({"id": payload.pop("id"), **payload})
    assert not lane.learn(OpenAIStream(), line, text)


def test_an_event_of_several_lines_is_no_pattern() -> None:
    lane = Lane([b""].append, Books().meter, None)
    assert not lane.learn(OpenAIStream(), msgspec.json.encode(delta(content="a")).replace(b",", b",\n"), "a")


@given(st.text(), st.binary(max_size=3), st.integers(0, 300))
def test_what_it_takes_reads_the_same_the_long_way(text: str, noise: bytes, at: int) -> None:
    lane, _, transcript = learned()
    whole = says(text)
    data = whole[:at] + noise + whole[at + len(noise) :]
    if lane.take(data):
        size, _, content = data.partition(b"\r\n")
        assert int(size, 16) == len(content) - 2
        reading = OpenAIStream().read_event(content[len("data: ") : -len("\n\n\r\n")])
        assert (reading.plain, reading.text) == (True, transcript.text)
