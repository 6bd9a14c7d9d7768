"""Model calls carried straight over the protocol: what a client on a raw socket sees around them."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.routing.fleet import ModelPool
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")


def request(body: object, *headers: str, path: str = "/v1/chat/completions", version: str = "1.1") -> bytes:
    data = json.dumps(body).encode()
    lines = [f"POST {path} HTTP/{version}", "Host: x", "Authorization: Bearer sk-test-secret", *headers]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


async def answer(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    async with asyncio.timeout(30):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
        return int(status.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", "0")))


async def echo(received: Received, wire: Wire) -> None:
    """Answers with the request's own `tag`, after the pause it asks for."""
    await asyncio.sleep(received.json.get("pause", 0))
    await wire.whole(200, {"tag": received.json.get("tag")})


@contextlib.asynccontextmanager
async def connected(folder: Path, **http: object) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with engine(echo) as upstream, running(chat_registry(upstream.url), folder, http=http) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        try:
            yield reader, writer
        finally:
            writer.close()


async def test_requests_sent_before_their_answers_are_answered_in_order(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        writer.write(request({"model": "m", "tag": 1, "pause": 0.1}))
        await asyncio.sleep(0.03)
        writer.write(request({"model": "m", "tag": 2}))
        await asyncio.sleep(0.03)
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test-secret\r\n\r\n")
        bodies = [json.loads((await answer(reader))[2]) for _ in range(3)]
        assert [body.get("tag") for body in bodies[:2]] == [1, 2]
        assert bodies[2]["object"] == "list"


async def test_a_second_request_in_one_segment_is_answered_or_told_to_come_again(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        writer.write(request({"model": "m", "tag": 1}) + request({"model": "m", "tag": 2}))
        _, headers, body = await answer(reader)
        assert json.loads(body) == {"tag": 1}
        if headers.get("connection") == "close":
            assert await asyncio.wait_for(reader.read(), 20) == b""
        else:
            assert json.loads((await answer(reader))[2]) == {"tag": 2}


async def test_an_application_request_ahead_keeps_its_turn(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" + request({"model": "m", "tag": 2}))
        assert b'"openapi"' in (await answer(reader))[2]
        assert json.loads((await answer(reader))[2]) == {"tag": 2}


async def test_a_body_may_come_in_pieces_and_in_chunks(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        whole = request({"model": "m", "tag": "piece by piece"})
        for i in range(0, len(whole), 20):
            writer.write(whole[i : i + 20])
            await asyncio.sleep(0.001)
        assert json.loads((await answer(reader))[2]) == {"tag": "piece by piece"}
        data = b'{"model":"m","tag":"chunked"}'
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test-secret\r\n"
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in data)
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        assert json.loads((await answer(reader))[2]) == {"tag": "chunked"}


async def test_the_connection_stays_of_use_after_an_error(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        for body, status in (({"model": "nope"}, 404), ({}, 422), ({"model": "m", "tag": 3}, 200)):
            writer.write(request(body))
            assert (await answer(reader))[0] == status
        writer.write(request({"model": "m"}).replace(b"sk-test-secret", b"sk-wrong"))
        assert (await answer(reader))[0] == 401
        writer.write(request({"model": "m", "tag": 4}))
        assert json.loads((await answer(reader))[2]) == {"tag": 4}


async def test_expect_100_continue(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        head, body = request({"model": "m", "tag": 1}, "Expect: 100-continue").split(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert (await answer(reader))[0] == 100
        writer.write(body)
        assert json.loads((await answer(reader))[2]) == {"tag": 1}
        writer.write(head.replace(b"sk-test-secret", b"sk-wrong") + b"\r\n\r\n")
        assert (await answer(reader))[0] == 401


async def test_an_idle_connection_is_closed_and_a_used_one_is_not(tmp_path: Path) -> None:
    async with connected(tmp_path, keep_alive=0.3) as (reader, writer):
        for tag in range(4):
            writer.write(request({"model": "m", "tag": tag, "pause": 0.15}))
            assert json.loads((await answer(reader))[2]) == {"tag": tag}
        assert await asyncio.wait_for(reader.read(), 20) == b""


async def test_http_1_0_and_connection_close_end_the_connection(tmp_path: Path) -> None:
    for asked in (
        request({"model": "m", "tag": 1}, version="1.0"),
        request({"model": "m", "tag": 1}, "Connection: close"),
    ):
        async with connected(tmp_path) as (reader, writer):
            writer.write(asked)
            assert json.loads((await answer(reader))[2]) == {"tag": 1}
            assert await asyncio.wait_for(reader.read(), 20) == b""


async def test_a_query_is_no_other_path(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        writer.write(request({"model": "m", "tag": 1}, path="/v1/chat/completions?api-version=1"))
        status, headers, _ = await answer(reader)
        assert status == 200
        assert headers["x-naru-model"] == "m"
        assert headers["x-request-id"]
        assert headers["date"]


async def test_a_defect_of_ours_is_500_and_leaves_no_call_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    async with engine(echo) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        monkeypatch.setattr(ModelPool, "pick", broken)
        answer = await gateway.http.post("/v1/chat/completions", json={"model": "m"})
        assert answer.status_code == 500
        assert "a defect" not in answer.text
        assert await gateway.value("naru_inflight_requests") == 0
        assert await gateway.gateway.drain.finish(1) == 0
