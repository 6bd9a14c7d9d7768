"""A streamed answer reaches the client byte for byte, whatever the engine's framing, and is metered as DESIGN says."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.support.engine import Received, Script, Wire, delta, engine, event, hello, usage
from tests.support.gateway import chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKING = {**CHAT, "stream_options": {"include_usage": True}}


def scripted(*chunks: bytes, pause: float = 0.0) -> Script:
    """Sends these very pieces, each in an HTTP chunk and a packet of its own."""

    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        for chunk in chunks:
            await wire.chunk(chunk)
            await asyncio.sleep(pause)
        await wire.last()

    return script


ROLE, HEL, LO = (
    event(delta(**d)) for d in ({"role": "assistant", "content": ""}, {"content": "Hé"}, {"content": "로"})
)
USAGE, DONE = event(usage(5, 2)), b"data: [DONE]\n\n"
WHOLE = ROLE + HEL + LO + USAGE + DONE


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([WHOLE], id="all events in one packet"),
        pytest.param([WHOLE[i : i + 1] for i in range(len(WHOLE))], id="split at every byte, inside UTF-8 too"),
        pytest.param([WHOLE[:40], WHOLE[40:200], WHOLE[200:]], id="split inside events"),
        pytest.param([WHOLE.replace(b"\n", b"\r\n")], id="CRLF"),
        pytest.param([b": ping\n\n", WHOLE], id="a comment first"),
    ],
)
async def test_bytes_and_counts_do_not_depend_on_how_the_stream_is_cut(pieces: list[bytes], tmp_path: Path) -> None:
    async with engine(scripted(*pieces)) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASKING)
        assert answer.content == b"".join(pieces)
        assert answer.headers["x-naru-model"] == "m"
        assert answer.headers["x-naru-version"] == "v1"
        assert answer.headers["x-accel-buffering"] == "no"
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count", stream="true") == 1
        assert await gateway.value("gen_ai_server_time_per_output_token_seconds_count") == 1
        assert await gateway.value("naru_tokens_total", type="output", tenant="development") == 2
        assert await gateway.value("naru_tokens_total", type="input") == 5


def _texts(*texts: str) -> list[bytes]:
    return [event(delta(content=text)) for text in texts]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([ROLE, *_texts(*"abcdefgh"), DONE], id="alike"),
        pytest.param([ROLE, *_texts("나", 'say "', "루\n", "x", "\\", "é", "y"), DONE], id="escapes between"),
        pytest.param([ROLE, *_texts("a", "b"), event(usage(5, 2)), *_texts("c", "d"), DONE], id="usage between"),
        pytest.param([ROLE, *_texts("a", "b"), b": ping\n\n", *_texts("c", "d"), DONE], id="a comment between"),
        pytest.param([ROLE, *_texts("a", "b"), _texts("c")[0][:30], _texts("c")[0][30:], *_texts("d", "e"), DONE],
                     id="an event in two chunks"),
        pytest.param([ROLE, *_texts("a", "b"), b"".join(_texts("c", "d")), *_texts("e", "f"), DONE],
                     id="two events in a chunk"),
        pytest.param([ROLE, *_texts("a", "b"), _texts("c")[0][:-1], b"\n" + _texts("d")[0], *_texts("e"), DONE],
                     id="an event's end in the next chunk"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("pause", [0.0, 0.005], ids=["at once", "one by one"])
async def test_text_that_takes_the_short_way_arrives_and_counts_as_ever(
    pieces: list[bytes], pause: float, tmp_path: Path
) -> None:
    whole = b"".join(pieces)
    contents = whole.count(b'"content"') - 1
    script = scripted(*pieces, pause=pause)
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASKING)
        assert answer.content == whole
        await gateway.until_outcome("ok")
        assert await gateway.value("naru_inter_token_latency_seconds_count") == contents - 1


async def test_usage_is_metered_but_reaches_only_the_client_that_asked(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        silent = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert upstream.received[0].json == ASKING
        assert b"usage" not in silent.content
        assert silent.content.endswith(DONE)
        asked = await gateway.http.post("/v1/chat/completions", json=ASKING)
        assert b"completion_tokens" in asked.content
        await gateway.until_outcome("ok", 2)
        assert await gateway.value("naru_tokens_total", type="output") == 4


async def test_unknown_fields_travel_untouched(tmp_path: Path) -> None:
    body = b'{"model":"m", "messages":[], "stream":true, "top_k": 5, "x":{"big":12345678901234567890.10}}'
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        await gateway.http.post("/v1/chat/completions", content=body)
        assert upstream.received[0].body.endswith(body[1:])
        assert "authorization" not in upstream.received[0].headers


async def test_the_clock_stops_at_the_first_content_not_at_the_role(tmp_path: Path) -> None:
    """The engine goes on once the client has what it sent: however busy the machine, a time has known bounds."""
    sent, heard, arrived = list[float](), list[float](), asyncio.Event()

    async def speak(_: Received, wire: Wire) -> None:
        await wire.head()
        for piece, pause in (("", 0.3), ("a", 0.1), ("b", 0.1), ("c", 0.0)):
            sent.append(time.perf_counter())
            arrived.clear()
            await wire.events(delta(content=piece) if piece else delta(role="assistant", content=""))
            await arrived.wait()
            await asyncio.sleep(pause)
        await wire.events(usage(1, 3), "[DONE]")
        await wire.last()

    async with engine(speak) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        began = time.perf_counter()
        async with gateway.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            async for line in answer.aiter_lines():
                if '"delta"' in line:
                    heard.append(time.perf_counter())
                    arrived.set()
        await gateway.until_outcome("ok")
        role, first, _, last = heard
        ttft = await gateway.value("gen_ai_server_time_to_first_token_seconds_sum")
        tpot = await gateway.value("gen_ai_server_time_per_output_token_seconds_sum")
        assert 0.29 < ttft < first - began
        assert 0.09 < tpot < (last - sent[1]) / 2
        assert await gateway.value("naru_time_to_first_byte_seconds_sum") < role - began
        assert await gateway.value("naru_inter_token_latency_seconds_count") == 2


@pytest.mark.parametrize(
    "first",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f", "arguments": ""}}]},
        {"content": "text"},
    ],
)
async def test_reasoning_and_tool_calls_are_content(first: dict[str, object], tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(role="assistant"), delta(**first), usage(1, 1), "[DONE]")
        await wire.last()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        await gateway.http.post("/v1/chat/completions", json=CHAT)
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count") == 1


async def test_usage_beside_content_is_the_last_word(tmp_path: Path) -> None:
    """vLLM's `continuous_usage_stats`."""

    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        for count, text in enumerate(("a", "b", "c"), 1):
            await wire.events({**delta(content=text), "usage": {"prompt_tokens": 4, "completion_tokens": count}})
        await wire.events("[DONE]")
        await wire.last()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        await gateway.http.post("/v1/chat/completions", json=CHAT)
        await gateway.until_outcome("ok")
        assert await gateway.value("naru_tokens_total", type="output") == 3
        assert await gateway.value("naru_tokens_total", type="input") == 4


async def test_an_empty_answer_has_no_first_token(tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(role="assistant", content=""), usage(1, 0), "[DONE]")
        await wire.last()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        await gateway.http.post("/v1/chat/completions", json=CHAT)
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count") == 0


@pytest.mark.parametrize("how", ["reset", "clean end", "inside an event"])
async def test_an_engine_that_dies_inside_its_answer_is_reported_and_counted(how: str, tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="Hel"))
        if how == "inside an event":
            await wire.chunk(b'data: {"choices":[{"del')
        await asyncio.sleep(0.05)
        if how == "clean end":
            await wire.last()
        else:
            wire.reset()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        *_, last = answer.content.strip().split(b"\n\n")
        name, data = last.split(b"\n")
        assert name == b"event: error"
        error = json.loads(data.removeprefix(b"data: "))["error"]
        assert error["code"] == ("truncated" if how == "clean end" else "upstream_error")
        assert b"[DONE]" not in answer.content
        assert b'{"choices":[{"del\n' not in answer.content
        await gateway.until_outcome(error["code"])
        assert await gateway.outcome("ok") == 0
        assert await gateway.value("gen_ai_server_time_per_output_token_seconds_count") == 0
        assert await gateway.value("naru_slo_requests_total", objective="availability", met="false") == 1


async def test_an_error_event_of_the_engine_is_no_success(tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(content="a"), {"error": {"message": "out of memory"}}, "[DONE]")
        await wire.last()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert b"out of memory" in answer.content
        await gateway.until_outcome("upstream_error")


@pytest.mark.parametrize(
    ("stage", "outcome", "status"), [("first", "timeout_first_token", 504), ("idle", "timeout_idle", 200)]
)
async def test_a_stalled_engine_is_given_up(stage: str, outcome: str, status: int, tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        if stage == "idle":
            await wire.head()
            await wire.events(delta(content="a"))
        await asyncio.sleep(30)

    limits = {"first_byte_timeout": 0.3, "idle_timeout": 0.3}
    async with (
        engine(script) as upstream,
        running(chat_registry(upstream.url), tmp_path, upstream=limits) as gateway,
    ):
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.status_code == status
        assert outcome.encode() in answer.content
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome(outcome)


async def test_connections_to_the_engine_are_kept(tmp_path: Path) -> None:
    seldom = {"health_interval": 600}  # a check opens a connection of its own
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path, upstream=seldom) as gateway:
        before = upstream.connections
        for _ in range(20):
            await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert upstream.connections - before == 1


async def test_a_slow_reader_slows_its_own_stream_and_memory_stays_bounded(tmp_path: Path) -> None:
    sent = 0

    async def flood(_: Received, wire: Wire) -> None:
        nonlocal sent
        await wire.head()
        for _i in range(400):
            await wire.events(delta(content="x" * 100_000))
            sent += 1
        await wire.events(usage(1, 400), "[DONE]")
        await wire.last()

    async with engine(flood) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        async with gateway.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            stalled = -1
            async with asyncio.timeout(15):
                while sent != stalled:  # until the engine is held back: all buffers between are full
                    stalled = sent
                    await asyncio.sleep(0.5)
            assert stalled < 400
            upstream.script = hello
            assert (await gateway.http.post("/v1/chat/completions", json=CHAT)).content.endswith(DONE)
            size = sum([len(part) async for part in answer.aiter_bytes()])
        assert size > 40_000_000
        await gateway.until_outcome("ok", 2)


async def test_a_client_that_never_reads_is_dropped(tmp_path: Path) -> None:
    async def flood(_: Received, wire: Wire) -> None:
        await wire.head()
        while True:
            await wire.events(delta(content="x" * 100_000))

    async with (
        engine(flood) as upstream,
        running(chat_registry(upstream.url), tmp_path, http={"write_timeout": 0.5}) as gateway,
        gateway.http.stream("POST", "/v1/chat/completions", json=CHAT),
    ):
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("client_cancelled")
