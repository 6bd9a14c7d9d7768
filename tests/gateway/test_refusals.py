"""Bad input gets the right status and a remedy, and the gateway serves on."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from services.gateway.policy.keyfile import Key
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

CHAT = "/v1/chat/completions"
HELLO = {"model": "m", "messages": [], "stream": True}


async def still_serves(gateway: Running) -> None:
    assert (await gateway.http.post(CHAT, json=HELLO)).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code", "param"),
    [
        (b"{", 400, "invalid_request", None),
        (b"", 400, "invalid_request", None),
        (b"[1]", 400, "invalid_request", None),
        (b'"m"', 400, "invalid_request", None),
        (b'{"messages":[]}', 422, "invalid_field", "model"),
        (b'{"model":3}', 422, "invalid_field", "model"),
        (b'{"model":"m","stream":"yes"}', 422, "invalid_field", "stream"),
        (b'{"model":"m","stream":true,"stream_options":4}', 422, "invalid_field", "stream_options"),
        (b'{"model":"nope"}', 404, "model_not_found", "model"),
        (b"[" * 100_000, 400, "invalid_request", None),
    ],
)
async def test_bad_bodies(content: bytes, status: int, code: str, param: str | None, tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post(CHAT, content=content)
        assert answer.status_code == status
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert error["message"]
        assert answer.headers["x-request-id"]
        assert not upstream.received
        await still_serves(gateway)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/sentiment", {}, "input"),
        ("/v1/sentiment", {"input": ""}, "input"),
        ("/v1/sentiment", {"input": []}, "input"),
        ("/v1/sentiment", {"input": ["fine", 3]}, "input[1]"),
        ("/v1/sentiment", {"input": ["fine", " \n"]}, "input[1]"),
        ("/v1/sentiment", {"input": "fine", "inptu": 1}, "inptu"),
        ("/v1/recommendations", {"k": 0}, "k"),
        ("/v1/recommendations", {"k": "ten"}, "k"),
        ("/v1/recommendations", {"history": "1"}, "history"),
        ("/v1/recommendations", {"history": [1, None]}, "history[1]"),
        ("/v1/recommendations", {"user_id": {}}, "user_id"),
    ],
)
async def test_a_wrong_field_is_named(path: str, body: dict[str, object], param: str, tmp_path: Path) -> None:
    async with running(chat_registry("http://127.0.0.1:9"), tmp_path, healthy=False) as gateway:
        answer = await gateway.http.post(path, json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Bearer", "Basic abc", "wrong", "Bearer \u00e9"])
async def test_a_wrong_key_is_401_and_never_shown(
    authorization: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        headers = {b"authorization": (authorization or "").encode("latin-1")}
        answer = await gateway.http.post(CHAT, json=HELLO, headers=list(headers.items()))
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "wrong" not in answer.text
        gateway.gateway.flush()
        logged = capsys.readouterr().err
        assert '"outcome":"invalid_api_key"' in logged
        assert "wrong" not in logged
        await still_serves(gateway)


async def test_a_key_reaches_its_own_models_only(tmp_path: Path) -> None:
    other = Key(name="o", tenant="t", models=frozenset({"other"}), sha256=hashlib.sha256(b"sk-other").hexdigest())
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path, keys=[other]) as gateway:
        key = {"authorization": "Bearer sk-other"}
        assert (await gateway.http.post(CHAT, json=HELLO, headers=key)).status_code == 403
        assert (await gateway.http.get("/v1/models", headers=key)).json()["data"] == []
        assert (await gateway.http.get("/v1/models/m", headers=key)).status_code == 404


async def test_a_20_mb_body_is_413(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post(CHAT, content=b"x" * 20_000_000)
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "body_too_large"
        await still_serves(gateway)


async def raw(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Whatever the gateway answers until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
        return await asyncio.wait_for(reader.read(), 8)
    except ConnectionError:
        return b""
    finally:
        writer.close()


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-test-secret\r\n"


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        pytest.param([HEAD + b"content-length: 50\r\n\r\n{"], b"408", id="a body that stops half way"),
        pytest.param([HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\n{"], b"408", id="a chunk that stops half way"),
        pytest.param([HEAD[:30]], b"408", id="a head that stops half way"),
        pytest.param([HEAD + b"x: " + b"a" * 300_000], b"431", id="one endless header"),
        pytest.param([HEAD + b"x: a\r\n" * 40_000 + b"\r\n"], b"431", id="a header bomb"),
        pytest.param([b"\x16\x03\x01nonsense\r\n\r\n"], b"400", id="not HTTP"),
        pytest.param([HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\n"], b"400", id="two lengths"),
        pytest.param([HEAD + b"content-length: -1\r\n\r\n"], b"400", id="a negative length"),
        pytest.param(
            [HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"], b"400", id="length and chunks"
        ),
        pytest.param([HEAD + b"transfer-encoding: gzip\r\n\r\n"], b"400", id="a transfer coding that is unknown"),
        pytest.param([HEAD + b"transfer-encoding: chunked\r\n\r\n0x5\r\n{"], b"400", id="a chunk size that is none"),
        pytest.param([HEAD + b"content-length : 5\r\n\r\n"], b"400", id="a space before the colon"),
        pytest.param([HEAD + b"content-length: 5\n\n"], b"400", id="bare line feeds"),
        pytest.param([HEAD + b"x: a\x00b\r\n\r\n"], b"400", id="a NUL"),
        pytest.param([HEAD + b"content-length: 999999999999\r\n\r\n{"], b"413", id="a length beyond all bounds"),
    ],
)
async def test_broken_requests_end_within_their_deadline(pieces: list[bytes], status: bytes, tmp_path: Path) -> None:
    limits = {"body_timeout": 0.3, "header_timeout": 0.3}
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path, http=limits) as gateway:
        answer = await raw(gateway.port, *pieces)
        assert answer.split(b" ", 2)[1] == status
        assert b'"error"' in answer
        assert b"x-request-id: " in answer
        await still_serves(gateway)


async def test_a_silent_connection_is_closed(tmp_path: Path) -> None:
    async with running(
        chat_registry("http://127.0.0.1:9"), tmp_path, healthy=False, http={"header_timeout": 0.2}
    ) as gateway:
        await raw(gateway.port)


async def test_the_clients_request_id_is_kept_if_it_is_sane(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post(CHAT, json=HELLO, headers={"x-request-id": "abc-1"})
        assert answer.headers.get_list("x-request-id") == ["abc-1"]
        assert upstream.received[0].headers["x-request-id"] == "abc-1"
        answer = await gateway.http.get("/nope", headers={"x-request-id": 'a"b{}'})
        assert answer.headers["x-request-id"] != 'a"b{}'


async def test_no_healthy_endpoint_is_503_with_retry_after(tmp_path: Path) -> None:
    async with running(chat_registry("http://127.0.0.1:9"), tmp_path, healthy=False) as gateway:
        answer = await gateway.http.post(CHAT, json=HELLO)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["error"]["code"] == "no_healthy_endpoint"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (400, {"error": {"message": "max_tokens must be positive", "param": "max_tokens"}}, 400),
        (404, {"detail": "Not Found"}, 502),
        (401, {"error": {"message": "who are you"}}, 502),
        (429, {"error": {"message": "queue full"}}, 429),
        (500, {"error": {"message": "secret traceback"}}, 502),
        (503, {"error": {"message": "warming up"}}, 503),
    ],
)
async def test_an_engines_own_error(status: int, body: object, expected: int, tmp_path: Path) -> None:
    async def refuse(_: Received, wire: Wire) -> None:
        await wire.whole(status, body)

    async with engine(refuse) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post(CHAT, json=HELLO)
        assert answer.status_code == expected
        assert answer.json()["error"]["message"]
        assert "secret" not in answer.text
        assert ("retry-after" in answer.headers) is (expected in (429, 503))
        assert await gateway.outcome("ok") == 0


async def test_an_engine_that_speaks_no_http_is_502(tmp_path: Path) -> None:
    async def garbage(_: Received, wire: Wire) -> None:
        await wire.raw(b"SMTP READY\r\n\r\n")

    async with engine(garbage) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        assert (await gateway.http.post(CHAT, json=HELLO)).status_code == 502


async def test_another_endpoint_answers_when_one_is_gone(tmp_path: Path) -> None:
    async def dies(_: Received, wire: Wire) -> None:
        wire.reset()

    async with engine(dies) as broken, engine() as whole:
        registry = chat_registry(broken.url, whole.url)
        async with running(registry, tmp_path) as gateway:
            answers = [await gateway.http.post(CHAT, json=HELLO) for _ in range(12)]
            assert {answer.status_code for answer in answers} == {200}
            assert {answer.headers["x-naru-version"] for answer in answers} == {"v2"}
            assert broken.received


async def test_the_wrong_method_and_the_models(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        assert (await gateway.http.get(CHAT)).status_code == 405
        assert [m["id"] for m in (await gateway.http.get("/v1/models")).json()["data"]] == ["m"]
        assert (await gateway.http.get("/v1/models/m")).json()["object"] == "model"
        assert (await gateway.http.post("/v1/embeddings", json=HELLO)).status_code == 404
        assert (await gateway.http.get("/docs")).status_code == 200
        assert "/v1/sentiment" in (await gateway.http.get("/openapi.json")).json()["paths"]
