"""An engine that dies after its last word: its stream ends well where nothing is owed to the client any more."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.engine import Received, Script, Wire, delta, engine, usage
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKING = {**CHAT, "stream_options": {"include_usage": True}}
END = b"data: [DONE]\n\n"


def finish(index: int = 0) -> dict[str, object]:
    return {"id": "c", "choices": [{"index": index, "delta": {}, "finish_reason": "stop"}]}


def dies_after(*payloads: object) -> Script:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        await wire.events(delta(role="assistant", content=""), *payloads)
        await asyncio.sleep(0.02)
        wire.reset()

    return script


async def asked(gateway: Running, body: dict[str, Any], path: str = "/v1/chat/completions") -> bytes:
    answer = await gateway.http.post(path, json=body)
    assert answer.status_code == 200
    return answer.content


async def test_a_whole_text_ends_well_and_is_charged_by_its_pieces(tmp_path: Path) -> None:
    script = dies_after(delta(content="Hel"), delta(content="lo"), finish())
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        assert (await asked(gateway, CHAT)).endswith(END)
        await gateway.until_outcome("ok")
        today = datetime.now(UTC).date()
        (row,) = await gateway.gateway.accounts.ledger.read(today, today)
        assert row.output_tokens == row.estimated_tokens - row.input_tokens == 2
        assert await gateway.value("naru_endpoint_inflight") == 0


@pytest.mark.parametrize("body", [CHAT, ASKING])
async def test_usage_that_was_told_is_passed_on(body: dict[str, Any], tmp_path: Path) -> None:
    script = dies_after(delta(content="Hello"), finish(), usage(5, 2))
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        content = await asked(gateway, body)
        assert content.endswith(END)
        assert (b'"completion_tokens": 2' in content) is (body is ASKING)
        await gateway.until_outcome("ok")
        assert await gateway.value("naru_tokens_total", type="output") == 2


@pytest.mark.parametrize(
    ("body", "payloads"),
    [
        pytest.param(ASKING, (delta(content="Hello"), finish()), id="usage was asked for and not told"),
        pytest.param({**CHAT, "n": 2}, (delta(content="Hello"), finish()), id="there is a second answer"),
        pytest.param(CHAT, (delta(content="Hello"),), id="no word of an end"),
    ],
)
async def test_what_is_owed_is_an_honest_error(body: dict[str, Any], payloads: tuple[Any, ...], tmp_path: Path) -> None:
    script = dies_after(*payloads)
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        content = await asked(gateway, body)
        assert content.count(b"event: error") == 1
        assert END not in content
        await gateway.until_outcome("upstream_error")


async def test_anthropics_streams_end_too(tmp_path: Path) -> None:
    async def script(_: Received, wire: Wire) -> None:
        await wire.head()
        text = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
        last = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}
        for payload in (text, last):
            await wire.chunk(b"event: %b\ndata: %b\n\n" % (str(payload["type"]).encode(), json.dumps(payload).encode()))
        await asyncio.sleep(0.02)
        wire.reset()

    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        content = await asked(gateway, {**CHAT, "max_tokens": 5}, "/v1/messages")
        assert content.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
        await gateway.until_outcome("ok")


async def test_the_endpoint_is_judged_all_the_same(tmp_path: Path) -> None:
    script = dies_after(delta(content="Hello"), finish())
    async with engine(script) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        for _ in range(3):
            await asked(gateway, CHAT)
        (endpoint,) = gateway.gateway.health.rounds.followed
        assert endpoint.circuit.row == 3
