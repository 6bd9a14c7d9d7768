"""An answer is clocked right however its bytes come, and what is no content is not taken for it."""

import json

import pytest

from loadtests.load.answer import BrokenAnswer, Parser, Reply
from loadtests.wire import LAST_CHUNK, chunk
from tests.support.engine import delta, event, usage

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
EVENTS = [
    delta(role="assistant", content=""),
    delta(content='"content":"'),
    delta(content=" [DONE] "),
    delta(reasoning_content="hm"),
    delta(tool_calls=[{"index": 0}]),
    delta(tool_calls=[]),
    {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    usage(9, 4),
    "[DONE]",
]
ANSWER = HEAD + b"".join(chunk(event(each)) for each in EVENTS) + LAST_CHUNK


def read(*pieces: bytes) -> Reply:
    """Each piece read a second after the one before."""
    reply = Reply(began=0.0)
    parser = Parser(reply, keep=True)
    complete = [parser.feed(piece, float(number)) for number, piece in enumerate(pieces, 1)]
    assert complete == [False] * (len(pieces) - 1) + [True]
    parser.judge()
    return reply


@pytest.mark.parametrize("size", [1, 2, 7, 100, 2**20])
def test_content_is_told_from_the_rest_however_it_is_cut(size: int) -> None:
    reply = read(*(ANSWER[at : at + size] for at in range(0, len(ANSWER), size)))
    assert (reply.status, reply.error, reply.tokens) == (200, "", 4)
    assert len(reply.gaps) == 3
    assert reply.text == '"content":" [DONE] '


def test_the_clock_is_read_when_the_bytes_are() -> None:
    chunks = [chunk(event(each)) for each in EVENTS]
    reply = read(HEAD + chunks[0], chunks[1], chunks[2] + chunks[3], chunks[4], b"".join(chunks[5:]) + LAST_CHUNK)
    assert (reply.ttft, reply.last, reply.gaps) == (2.0, 4.0, [1.0, 0.0, 1.0])
    assert reply.tpot == pytest.approx(2 / 3), "by the engine's count of tokens, not by events"


def test_json_with_spaces_and_lines_that_end_in_two_characters_are_read_too() -> None:
    data = b'data: {"choices": [{"delta": {"content": "a"}}]}\r\n\r\ndata: [DONE]\r\n\r\n'
    reply = read(HEAD + chunk(data) + LAST_CHUNK)
    assert (reply.first, reply.text, reply.done) == (1.0, "a", True)


def test_a_stream_that_does_not_say_that_it_is_whole_is_truncated() -> None:
    assert read(HEAD + chunk(event(delta(content="a"))) + LAST_CHUNK).error == "truncated"


def test_an_error_event_is_named_by_its_code() -> None:
    failed = event({"error": {"message": "gone", "code": "upstream_error"}})
    reply = read(HEAD + chunk(event(delta(content="a")) + failed) + LAST_CHUNK)
    assert (reply.error, reply.tpot, reply.ttft) == ("upstream_error", None, 1.0)


def test_a_refusal_is_named_by_its_status_and_code() -> None:
    body = json.dumps({"error": {"code": "rejected_quota", "message": "slow down"}}).encode()
    head = b"HTTP/1.1 429 Too Many\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    assert read(head + body[:5], body[5:]).error == "429 rejected_quota"


@pytest.mark.parametrize("data", [b"SMTP ready\r\n\r\n", HEAD + b"zz\r\n"])
def test_what_is_no_answer_is_broken(data: bytes) -> None:
    with pytest.raises(BrokenAnswer):
        Parser(Reply(0.0)).feed(data, 0.0)
