"""A head that comes again is not parsed again, and whatever is not the same head is."""

import asyncio
import json
from pathlib import Path

import pytest

from services.gateway.api.heading import read_heading
from services.gateway.api.repeat import Repeat
from services.gateway.policy.keyfile import Key, add_key, digest, remove_key
from tests.gateway.api.test_direct import answer, connected, echo, request
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nX-Api-Key: k\r\n\r\n"


def learned(head: bytes = HEAD) -> Repeat:
    made = Repeat.of(head + b"12345", read_heading([(b"content-length", b"5"), (b"x-api-key", b"k")]))
    assert made is not None
    return made


@pytest.mark.parametrize("length", [1, 5, 99, 12345678])
def test_the_same_head_with_any_length(length: int) -> None:
    head = HEAD.replace(b": 5", b": %d" % length)
    assert learned().match(head + b"body") == (len(head), length)


@pytest.mark.parametrize(
    "head",
    [
        HEAD.replace(b": k", b": l"), HEAD.replace(b"chat/", b""), HEAD.replace(b"POST", b"PUT"), HEAD[:-2], HEAD[:60],
        HEAD.replace(b": 5", b": +5"), HEAD.replace(b": 5", b": -5"), HEAD.replace(b": 5", b": 5 5"),
        HEAD.replace(b": 5", b": "), HEAD.replace(b": 5", b": 0x5"), HEAD.replace(b": 5", b": 1_0"),
        HEAD.replace(b": 5", b": \xb2"), HEAD.replace(b": 5", b": " + b"1" * 13),
        HEAD.replace(b": 5", b": 5\r\nContent-Length: 6"), HEAD.replace(b": 5", b": 5\r\nTransfer-Encoding: chunked"),
        HEAD.replace(b"1.1", b"1.0"), b"\r\n" + HEAD, b"",
    ],
)  # fmt: skip
def test_any_other_head_is_parsed(head: bytes) -> None:
    assert learned().match(head) is None


def test_a_head_that_says_its_length_elsewhere_is_not_kept() -> None:
    chunked = HEAD.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")
    assert Repeat.of(chunked, read_heading([])) is None
    quoted = HEAD.replace(b"Content-Length: 5", b"X: content-length: 5\r\nTransfer-Encoding: chunked")
    assert Repeat.of(quoted, read_heading([])) is None


@pytest.mark.parametrize("size", [1, 7, 100, 100_000], ids="{} bytes a segment".format)
async def test_requests_with_one_head_however_they_are_cut(size: int, tmp_path: Path) -> None:
    tags = ["a", "b" * 50, "", "나루", "c" * 2000]
    async with connected(tmp_path) as (reader, writer):
        for tag in tags:
            whole = request({"model": "m", "tag": tag})
            for i in range(0, len(whole), size):
                writer.write(whole[i : i + size])
                await writer.drain()
                await asyncio.sleep(0)
            status, _, body = await answer(reader)
            assert (status, json.loads(body)) == (200, {"tag": tag})


async def test_head_and_body_in_segments_of_their_own(tmp_path: Path) -> None:
    async with connected(tmp_path) as (reader, writer):
        for tag in ("a", "bb", "c"):
            head, body = request({"model": "m", "tag": tag}).split(b"\r\n\r\n")
            for part in (head + b"\r\n\r\n", body[:5], body[5:]):
                writer.write(part)
                await asyncio.sleep(0.02)
            assert json.loads((await answer(reader))[2]) == {"tag": tag}


async def test_what_follows_in_the_same_segment_has_its_turn(tmp_path: Path) -> None:
    models = b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test-secret\r\n\r\n"
    async with connected(tmp_path) as (reader, writer):
        writer.write(request({"model": "m", "tag": 0}))
        assert json.loads((await answer(reader))[2]) == {"tag": 0}
        writer.write(request({"model": "m", "tag": 1, "pause": 0.05}) + request({"model": "m", "tag": 22}) + models)
        assert [json.loads((await answer(reader))[2]) for _ in range(2)] == [{"tag": 1}, {"tag": 22}]
        assert json.loads((await answer(reader))[2])["object"] == "list"
        writer.write(request({"model": "m", "tag": 3}))
        assert json.loads((await answer(reader))[2]) == {"tag": 3}


async def test_the_key_is_looked_at_each_time(tmp_path: Path) -> None:
    keys = tmp_path / "keys.yaml"
    add_key(keys, Key(name="guest", tenant="guests", sha256=digest("sk-guest")))
    async with engine(echo) as upstream, running(chat_registry(upstream.url), tmp_path, key_file=keys) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        asked = request({"model": "m", "tag": 1}).replace(b"sk-test-secret", b"sk-guest")
        for _ in range(3):
            writer.write(asked)
            assert (await answer(reader))[0] == 200
        remove_key(keys, "guest")
        async with asyncio.timeout(30):
            status = 200
            while status == 200:
                writer.write(asked)
                status = (await answer(reader))[0]
        assert status == 401
        writer.close()


@pytest.mark.parametrize(("tag", "cut", "status"), [("b" * 1000, None, 413), ("b", -3, 408)])
async def test_its_body_has_the_same_bounds(tag: str, cut: int | None, status: int, tmp_path: Path) -> None:
    async with connected(tmp_path, body_timeout=0.3, max_body=1000) as (reader, writer):
        for _ in range(2):
            writer.write(request({"model": "m", "tag": "a"}))
            assert (await answer(reader))[0] == 200
        writer.write(request({"model": "m", "tag": tag})[:cut])
        assert (await answer(reader))[0] == status
        writer.write(b"xyz")
        assert await asyncio.wait_for(reader.read(), 20) == b""


async def test_an_application_request_between_leaves_no_timer_behind(tmp_path: Path) -> None:
    async with connected(tmp_path, keep_alive=0.3) as (reader, writer):
        writer.write(request({"model": "m", "tag": 1}))
        assert (await answer(reader))[0] == 200
        writer.write(b"GET /v1/models HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer sk-test-secret\r\n\r\n")
        assert (await answer(reader))[0] == 200
        writer.write(request({"model": "m", "tag": 2, "pause": 0.6}))
        assert json.loads((await answer(reader))[2]) == {"tag": 2}


async def test_paths_that_take_turns_on_a_connection_each_stay_their_own(tmp_path: Path) -> None:
    """Also once no further head is kept."""

    async def where(received: Received, wire: Wire) -> None:
        await wire.whole(200, {"path": received.path})

    async with engine(where) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for turn in range(12):
            path = ("/v1/chat/completions", "/v1/completions")[turn % 2]
            writer.write(request({"model": "m", "messages": [], "prompt": "x"}, path=path))
            assert json.loads((await answer(reader))[2]) == {"path": path}
        writer.close()
