"""Comments keep a connection alive while the first token is awaited, and change nothing else."""

import asyncio
import json
from pathlib import Path

from tests.support.engine import Received, Wire, delta, engine, hello, usage
from tests.support.gateway import chat_registry, running

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
OFTEN = {"comment_interval": 0.1}
COMMENT = b": keep-alive\n\n"


async def slow(_: Received, wire: Wire) -> None:
    await asyncio.sleep(0.35)
    await wire.head()
    await wire.events(delta(role="assistant", content=""), delta(content="a"), delta(content="b"))
    await asyncio.sleep(0.25)
    await wire.events(usage(1, 2), "[DONE]")
    await wire.last()


async def test_a_long_wait_is_filled_and_not_measured(tmp_path: Path) -> None:
    enough = asyncio.Event()

    async def waited_for(request: Received, wire: Wire) -> None:
        await enough.wait()
        await slow(request, wire)

    async with (
        engine(waited_for) as upstream, running(chat_registry(upstream.url), tmp_path, resilience=OFTEN) as gateway,
    ):  # fmt: skip
        content = b""
        async with gateway.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            async for piece in answer.aiter_raw():
                content += piece
                if content.count(COMMENT) >= 4:
                    enough.set()
        comments = content.count(COMMENT)
        assert content.startswith(COMMENT * comments + b"data: ")  # none once the answer has begun
        assert content.endswith(b"data: [DONE]\n\n")
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-naru-model"] == "m"
        await gateway.until_outcome("ok")
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_sum") > 0.3
        assert await gateway.value("naru_time_to_first_byte_seconds_sum") > 0.3


async def test_a_retry_is_still_possible_under_comments(tmp_path: Path) -> None:
    async def dies(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        wire.reset()

    async with (
        engine(dies) as bad,
        engine() as good,
        running(chat_registry(bad.url, good.url), tmp_path, resilience=OFTEN) as gateway,
    ):
        answers = [await gateway.http.post("/v1/chat/completions", json=CHAT) for _ in range(8)]
        assert all(answer.content.endswith(b"data: [DONE]\n\n") for answer in answers)
        assert any(answer.content.startswith(COMMENT) for answer in answers)
        assert await gateway.value("naru_retries_total", reason="broken") == len(bad.received) > 0


async def test_a_refusal_that_comes_late_is_an_error_event(tmp_path: Path) -> None:
    async def refuses(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await wire.whole(400, {"error": {"message": "max_tokens must be positive"}})

    async with engine(refuses) as upstream, running(chat_registry(upstream.url), tmp_path, resilience=OFTEN) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.status_code == 200
        name, data = answer.content.replace(COMMENT, b"").strip().split(b"\n")
        assert name == b"event: error"
        assert json.loads(data.removeprefix(b"data: "))["error"]["message"] == "max_tokens must be positive"
        await gateway.until_outcome("engine_refused")
        assert await gateway.value("naru_slo_requests_total", met="false") == 0


async def test_a_quick_answer_and_an_unstreamed_one_get_none(tmp_path: Path) -> None:
    async def slow_whole(request: Received, wire: Wire) -> None:
        if request.json["stream"]:
            await hello(request, wire)
        else:
            await asyncio.sleep(0.3)
            await wire.whole(200, {"id": "c"})

    async with (
        engine(slow_whole) as upstream,
        running(chat_registry(upstream.url), tmp_path, resilience=OFTEN) as gateway,
    ):
        assert COMMENT not in (await gateway.http.post("/v1/chat/completions", json=CHAT)).content
        whole = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": False})
        assert whole.json() == {"id": "c"}


async def test_off(tmp_path: Path) -> None:
    async with (
        engine(slow) as upstream,
        running(chat_registry(upstream.url), tmp_path, resilience={"comment_interval": 0}) as gateway,
    ):
        assert COMMENT not in (await gateway.http.post("/v1/chat/completions", json=CHAT)).content
