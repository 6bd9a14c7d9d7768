"""RFC 9112's framing on the endpoints' side: what an endpoint may send, and what ends in 502 with nothing passed on."""

from pathlib import Path

import pytest

from tests.support.engine import Received, Script, Wire, delta, engine, event, usage
from tests.support.gateway import Running, chat_registry, running

BODY = b'{"usage":{"prompt_tokens":1,"completion_tokens":1}}'
CHAT = {"model": "m", "messages": []}
EVENTS = b"".join(map(event, (delta(content="a"), usage(1, 1), "[DONE]")))


def sends(*pieces: bytes, close: bool = False) -> Script:
    async def script(_: Received, wire: Wire) -> None:
        for piece in pieces:
            await wire.raw(piece)
        if close:
            wire.writer.close()

    return script


async def ask(gateway: Running, *, stream: bool = False) -> tuple[int, bytes]:
    answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
    return answer.status_code, answer.content


JSON = b"content-type: application/json\r\n"
LENGTH = b"content-length: %d\r\n" % len(BODY)
CHUNKED = b"transfer-encoding: chunked\r\n"


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(
            sends(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
                  b"HTTP/1.1 200 OK\r\n" + JSON + LENGTH + b"\r\n" + BODY), id="interim answers first",
        ),
        pytest.param(
            sends(b"HTTP/1.1 200 OK\r\n" + JSON + CHUNKED + b"trailer: x-sum\r\n\r\n",
                  b"%x;name=value\r\n%b\r\n0\r\nx-sum: 1\r\n\r\n" % (len(BODY), BODY)), id="chunk extension, trailers",
        ),
        pytest.param(
            sends(*[bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\n" + JSON + LENGTH + b"\r\n" + BODY]),
            id="byte by byte",
        ),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + JSON + b"\r\n" + BODY, close=True), id="ended by the close"),
        pytest.param(sends(b"HTTP/1.0 200 OK\r\n" + JSON + LENGTH + b"\r\n" + BODY), id="HTTP/1.0"),
        pytest.param(sends(b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + BODY, close=True), id="HTTP/1.0 without length"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nCONTENT-TYPE:application/json\r\nContent-Length:  %d  \r\n\r\n%b"
                           % (len(BODY), BODY)), id="any case, any space"),
    ],
)  # fmt: skip
async def test_what_an_endpoint_may_send(script: Script, tmp_path: Path) -> None:
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        assert [await ask(gateway) for _ in range(3)] == [(200, BODY)] * 3
        await gateway.until_outcome("ok", 3)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + JSON + LENGTH + CHUNKED + b"\r\n" + BODY), id="length and chunks"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n" + LENGTH + b"\r\n" + BODY), id="two lengths"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n" + BODY), id="a negative length"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\ncontent-length: 0x33\r\n\r\n" + BODY), id="a length that is no number"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\nzz\r\n" + BODY), id="a chunk size that is none"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\nx: " + b"a" * 100_000), id="a head without end"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n bad header\r\n\r\n"), id="a folded header"),
        pytest.param(sends(b"HTTP/2 200\r\n\r\n" + BODY), id="another protocol"),
        pytest.param(sends(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), id="101"),
        pytest.param(sends(b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY[:10], close=True), id="cut short"),
    ],
)
async def test_what_it_may_not_is_502_and_nothing_of_it_is_passed_on(script: Script, tmp_path: Path) -> None:
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        status, body = await ask(gateway)
        assert status == 502
        assert b'"upstream_error"' in body
        assert BODY not in body
        upstream.script = sends(b"HTTP/1.1 200 OK\r\n" + JSON + LENGTH + b"\r\n" + BODY)
        assert await ask(gateway) == (200, BODY)


async def test_what_follows_an_answer_never_meets_the_next_request(tmp_path: Path) -> None:
    """Response splitting: an endpoint, or someone it echoes, appends an answer of its own."""
    forged = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged"
    script = sends(b"HTTP/1.1 200 OK\r\n" + JSON + LENGTH + b"\r\n" + BODY + forged)
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        for _ in range(4):
            _, body = await ask(gateway)
            assert b"forged" not in body


async def test_a_whole_stream_in_one_segment_is_a_stream(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" + CHUNKED + b"\r\n"
    script = sends(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(EVENTS), EVENTS))
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        status, body = await ask(gateway, stream=True)
        assert status == 200
        assert body.endswith(b"data: [DONE]\n\n")
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count", stream="true") == 1
        assert await gateway.value("naru_tokens_total", type="output") == 1
