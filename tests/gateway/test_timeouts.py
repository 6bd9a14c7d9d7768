"""A model's own timeouts stand before the gateway's."""

import asyncio
from pathlib import Path

import pytest

from tests.support.engine import Received, Wire, delta, engine
from tests.support.gateway import chat_registry, running

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}


async def silent(_: Received, wire: Wire) -> None:
    await asyncio.sleep(30)


async def falls_silent(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"))
    await asyncio.sleep(30)


@pytest.mark.parametrize(
    ("timeouts", "stream", "outcome"),
    [
        ({"first_token": "200ms"}, True, "timeout_first_token"),
        ({"total": "200ms"}, True, "timeout_total"),
        ({"total": "200ms"}, False, "timeout_total"),
        ({"idle": "200ms"}, True, "timeout_idle"),
    ],
)
async def test_a_models_own_limit(timeouts: dict[str, str], stream: bool, outcome: str, tmp_path: Path) -> None:
    script = falls_silent if "idle" in timeouts else silent
    async with (
        engine(script) as upstream,
        running(chat_registry(upstream.url, timeouts=timeouts), tmp_path) as gateway,
    ):
        answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, "stream": stream})
        assert outcome.encode() in answer.content
        await gateway.until_outcome(outcome)
        await asyncio.wait_for(upstream.left.wait(), 20)


async def speaks_for_long(_: Received, wire: Wire) -> None:
    """Longer than it may be silent, and each event alike: what takes the short way counts, too."""
    await wire.head()
    for _turn in range(30):
        await wire.events(delta(content="a"))
        await asyncio.sleep(0.1)
    await wire.events("[DONE]")
    await wire.last()


async def test_an_answer_that_goes_on_is_not_silent(tmp_path: Path) -> None:
    async with (
        engine(speaks_for_long) as upstream,
        running(chat_registry(upstream.url, timeouts={"idle": "1500ms"}), tmp_path) as gateway,
    ):
        answer = await gateway.http.post("/v1/chat/completions", json=CHAT)
        assert answer.content.endswith(b"data: [DONE]\n\n")
        await gateway.until_outcome("ok")
