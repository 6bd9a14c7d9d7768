"""A chat stream whose engine dies goes on elsewhere, and its client can't tell."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Received, Script, Wire, delta, engine, event, usage
from tests.support.gateway import Running, running

TEXT = "The ferry left the landing at dawn and nobody saw it go."
PROMPT = 10
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKING = {**CHAT, "stream_options": {"include_usage": True}}


class Writer:
    """An engine that writes TEXT, one character a token, and dies after `lives` of them."""

    def __init__(self, name: str, *, tokenizes: bool = True, pace: float = 0.0, lags: int = 1) -> None:
        """`lags`: characters, and so tokens, that it sends in one chunk."""
        self.name, self.tokenizes, self.pace, self.lags = name, tokenizes, pace, lags
        self.lives: int | None = None

    async def __call__(self, request: Received, wire: Wire) -> None:
        body = request.json
        begun = body["messages"][-1]["content"] if body.get("continue_final_message") else ""
        if request.path == "/tokenize":
            count = len(body["prompt"]) if "prompt" in body else PROMPT
            await wire.whole(*((200, {"count": count}) if self.tokenizes else (404, {})))
            return
        rest = TEXT[len(begun) :][: body.get("max_tokens")]
        await wire.head()
        await self._send(wire, delta(role="assistant", content=""))
        for sent in range(0, len(rest), self.lags):
            if self.lives is not None and sent >= self.lives:
                await asyncio.sleep(0.02)
                wire.reset()
                return
            await self._send(wire, delta(content=rest[sent : sent + self.lags]))
            await asyncio.sleep(self.pace)
        await self._send(wire, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if body.get("stream_options", {}).get("include_usage"):
            await self._send(wire, {**usage(PROMPT + len(begun), len(rest))})
        await wire.chunk(b"data: [DONE]\n\n")
        await wire.last()

    async def _send(self, wire: Wire, chunk: dict[str, Any]) -> None:
        await wire.chunk(event({**chunk, "id": self.name, "created": ord(self.name), "model": "m"}))


@contextlib.asynccontextmanager
async def served(folder: Path, *scripts: Script, **settings: Any) -> AsyncIterator[Running]:
    """A gateway with one version on these engines, the first of which is asked first."""
    async with contextlib.AsyncExitStack() as stack:
        engines = [await stack.enter_async_context(engine(script)) for script in scripts]
        urls = [each.url for each in engines]
        registry = {"models": {"m": {"task": "chat", "versions": {"v1": {"endpoints": urls}}}}}
        gateway = await stack.enter_async_context(running(registry, folder, **settings))
        for place, endpoint in enumerate(gateway.gateway.health.rounds.followed):
            endpoint.in_flight += 10 * place
        yield gateway


def chunks(content: bytes) -> list[dict[str, Any]]:
    *events, end, nothing = content.split(b"\n\n")
    assert (end, nothing) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def uninterrupted(content: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that is one answer, whole."""
    found = chunks(content)
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in found}) == 1
    choices = [chunk["choices"][0] for chunk in found if chunk["choices"]]
    assert [choice["delta"].get("role") for choice in choices] == ["assistant", *[None] * (len(choices) - 1)]
    assert [c["finish_reason"] for c in choices if c.get("finish_reason")] == ["stop"]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == TEXT
    return found


async def migrations(gateway: Running, outcome: str) -> float:
    return await gateway.value("naru_migrations_total", model="m", version="v1", outcome=outcome)


@pytest.mark.parametrize("lives", [0, 1, 20, len(TEXT) - 1])
@pytest.mark.parametrize("asked", [True, False])
async def test_one_uninterrupted_stream(lives: int, asked: bool, tmp_path: Path) -> None:
    dying, well = Writer("a"), Writer("b")
    dying.lives = lives
    async with served(tmp_path, dying, well) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASKING if asked else CHAT)
        found = uninterrupted(answer.content)
        billed = [chunk["usage"] for chunk in found if chunk.get("usage")]
        total = {"prompt_tokens": PROMPT, "completion_tokens": len(TEXT), "total_tokens": PROMPT + len(TEXT)}
        assert billed == ([total] if asked else [])
        await gateway.until_outcome("ok")
        assert await migrations(gateway, "continued") == 1
        assert await gateway.value("naru_tokens_total", type="output") == len(TEXT)
        assert await gateway.value("naru_tokens_total", type="input") == PROMPT
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count") == 1
        assert await gateway.value("naru_inter_token_latency_seconds_count") <= len(TEXT) - 1


async def test_the_next_engine_may_die_too(tmp_path: Path) -> None:
    scripts = [Writer(name) for name in "abc"]
    scripts[0].lives = scripts[1].lives = 9
    async with served(tmp_path, *scripts) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASKING)
        *_, last = uninterrupted(answer.content)
        assert last["usage"]["completion_tokens"] == len(TEXT)
        assert last["usage"]["prompt_tokens"] == PROMPT
        assert await migrations(gateway, "continued") == 2


async def test_not_for_ever(tmp_path: Path) -> None:
    scripts = [Writer(name) for name in "abc"]
    for script in scripts:
        script.lives = 3
    async with served(tmp_path, *scripts, resilience={"migrations": 1}) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.content.count(b"event: error") == 1
        await gateway.until_outcome("upstream_error")
        assert (await migrations(gateway, "continued"), await migrations(gateway, "unavailable")) == (1, 1)


async def test_an_engine_that_counts_no_tokens_leaves_the_chunks_to_count(tmp_path: Path) -> None:
    dying, well = Writer("a"), Writer("b", tokenizes=False)
    dying.lives = 8
    async with served(tmp_path, dying, well) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={**ASKING, "max_tokens": 200})
        *_, last = uninterrupted(answer.content)
        assert last["usage"]["total_tokens"] == PROMPT + len(TEXT)


async def test_an_engine_that_lags_is_billed_by_its_tokens(tmp_path: Path) -> None:
    dying = Writer("a", lags=4)
    dying.lives = 24
    async with served(tmp_path, dying, Writer("b")) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASKING)
        *_, last = uninterrupted(answer.content)
        assert (last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (PROMPT, len(TEXT))


async def test_an_engine_that_lags_once_in_a_while_is_billed_by_its_tokens(tmp_path: Path) -> None:
    async def lags_twice(request: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(*(delta(content=text) for text in ("T", "h", "e f", "e", "r", "ry", " ")))
        await asyncio.sleep(0.02)
        wire.reset()

    async with served(tmp_path, lags_twice, Writer("b")) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={**ASKING, "max_tokens": 20})
        found = chunks(answer.content)
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in found if c["choices"]) == TEXT[:20]
        assert found[-1]["usage"]["completion_tokens"] == 20


async def test_the_limit_on_output_holds_over_both(tmp_path: Path) -> None:
    dying, well = Writer("a"), Writer("b")
    dying.lives = 8
    async with served(tmp_path, dying, well) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={**ASKING, "max_tokens": 12})
        found = chunks(answer.content)
        assert "".join(c["choices"][0]["delta"].get("content", "") for c in found if c["choices"]) == TEXT[:12]
        assert found[-1]["usage"]["completion_tokens"] == 12


UNSAFE = {
    "tools": {"tools": [{"type": "function", "function": {"name": "f"}}]},
    "structured output": {"response_format": {"type": "json_object"}},
    "log probabilities": {"logprobs": True},
    "two answers": {"n": 2},
}


@pytest.mark.parametrize("fields", UNSAFE.values(), ids=UNSAFE)
async def test_what_is_more_than_its_text_ends_with_an_honest_error(fields: dict[str, Any], tmp_path: Path) -> None:
    dying = Writer("a")
    dying.lives = 5
    async with served(tmp_path, dying, Writer("b")) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, **fields})
        assert b'"code":"upstream_error"' in answer.content
        assert b"[DONE]" not in answer.content
        await gateway.until_outcome("upstream_error")
        assert await migrations(gateway, "unsafe") == 1


async def test_reasoning_is_not_continued(tmp_path: Path) -> None:
    async def thinks(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(role="assistant"), delta(reasoning_content="hm"), delta(content="a"))
        await asyncio.sleep(0.02)
        wire.reset()

    async with served(tmp_path, thinks, Writer("b")) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert b"event: error" in answer.content
        assert await migrations(gateway, "unsafe") == 1


async def test_an_engine_that_can_not_continue_is_an_honest_error(tmp_path: Path) -> None:
    async def refuses(request: Received, wire: Wire) -> None:
        await wire.whole(400, {"error": {"message": "unknown field continue_final_message"}})

    dying = Writer("a")
    dying.lives = 5
    async with served(tmp_path, dying, refuses) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.content.count(b"event: error") == 1
        assert b"[DONE]" not in answer.content
        await gateway.until_outcome("upstream_error")
        assert await migrations(gateway, "continued") == 0
        assert await migrations(gateway, "failed") == 1


async def test_switched_off(tmp_path: Path) -> None:
    dying = Writer("a")
    dying.lives = 5
    async with served(tmp_path, dying, Writer("b"), resilience={"migrations": 0}) as gateway:
        assert b"event: error" in (await gateway.http.post("/v1/chat/completions", json=CHAT)).content


async def test_a_client_that_leaves_on_the_way_stops_the_next_engine(tmp_path: Path) -> None:
    dying, slow = Writer("a"), Writer("b", pace=0.1)
    dying.lives = 5
    async with served(tmp_path, dying, slow) as gateway:
        async with gateway.http.stream("POST", "/v1/chat/completions", json=CHAT) as answer:
            received = b""
            async for piece in answer.aiter_bytes():
                received += piece
                if received.count(b'"content"') > 8:
                    break
        await gateway.until_outcome("client_cancelled")
        assert await gateway.value("naru_inflight_requests") == 0
