"""What a client of a limited key sees, and what it is charged, however its answer ends."""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.policy.keyfile import Key, digest
from tests.gateway.test_migration import PROMPT, TEXT, Writer, served, uninterrupted
from tests.support.engine import Received, Wire, delta, engine, hello, usage
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

HEADERS = {"authorization": "Bearer sk-a"}
BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "What is a ferry?"}]}
STREAM = BODY | {"stream": True}
PRICE = {"input": 1.0, "output": 2.0, "currency": "EUR"}


def key(**limits: Any) -> Key:
    return Key(name="a", tenant="shop", sha256=digest("sk-a"), **limits)


async def written_down(gateway: Running) -> None:
    gateway.gateway.flush()
    await gateway.gateway.accounts.ledger.flush()


async def ask(gateway: Running, body: dict[str, Any] = STREAM) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json=body, headers=HEADERS)


async def test_a_limit_is_told_and_its_end_is_a_429_that_says_when_to_come_back(tmp_path: Path) -> None:
    async with (
        engine() as upstream,
        running(chat_registry(upstream.url), tmp_path, keys=[key(requests_per_minute=2)]) as gateway,
    ):
        answers = [await ask(gateway) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["x-ratelimit-remaining-requests"] for answer in answers] == ["1", "0", "0"]
        refused = answers[-1]
        assert 1 <= int(refused.headers["retry-after"]) <= 61
        assert refused.headers["x-naru-limit"] == "key/requests_per_minute"
        assert refused.json()["error"]["code"] == "rejected_quota"
        assert "2 requests per minute" in refused.json()["error"]["message"]
        assert len(upstream.received) == 2
        labels = {"tenant": "shop", "scope": "key", "limit": "requests_per_minute"}
        assert await gateway.value("naru_quota_refusals_total", **labels) == 1
        assert await gateway.outcome("rejected_quota", model="m") == 1
        unlimited = await gateway.http.post("/v1/chat/completions", json=STREAM)
        assert unlimited.status_code == 200
        assert "x-ratelimit-limit-requests" not in unlimited.headers


async def test_an_answer_is_charged_as_its_engine_counted_it(tmp_path: Path) -> None:
    async with (
        engine() as upstream,
        running(chat_registry(upstream.url, price=PRICE), tmp_path, keys=[key(tokens_per_minute=7)]) as gateway,
    ):
        assert (await ask(gateway)).headers["x-ratelimit-remaining-tokens"] == "7"
        refused = await ask(gateway)
        assert refused.headers["x-naru-limit"] == "key/tokens_per_minute"
        await written_down(gateway)
        cost = await gateway.value("naru_cost_total", model="m", version="v1", tenant="shop", currency="EUR")
        assert cost == pytest.approx((5 * 1 + 2 * 2) / 1e6)
        assert await gateway.value("naru_estimated_tokens_total") == 0


async def three_pieces_then(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(*(delta(content=str(i)) for i in range(3)))


async def and_wait(request: Received, wire: Wire) -> None:
    await three_pieces_then(request, wire)
    await asyncio.sleep(30)


async def and_die(request: Received, wire: Wire) -> None:
    await three_pieces_then(request, wire)
    wire.reset()


async def used(gateway: Running) -> tuple[int, int, int]:
    """Requests, and the tokens of one key, in all and estimated."""
    await written_down(gateway)
    rows = await gateway.gateway.accounts.ledger.tokens_today()
    return (
        int(await gateway.value("naru_requests_total", model="m")),
        rows.get("key:a", 0),
        int(await gateway.value("naru_estimated_tokens_total", tenant="shop")),
    )


async def test_a_client_that_leaves_is_charged_for_what_it_was_sent_and_gives_its_stream_back(tmp_path: Path) -> None:
    limited = key(concurrent_streams=1, tokens_per_day=1000)
    async with engine(and_wait) as upstream, running(chat_registry(upstream.url), tmp_path, keys=[limited]) as gateway:
        async with gateway.http.stream("POST", "/v1/chat/completions", json=STREAM, headers=HEADERS) as answer:
            seen = ""
            async for text in answer.aiter_text():
                seen += text
                if '"2"' in seen:
                    break
            assert (await ask(gateway)).headers["x-naru-limit"] == "key/concurrent_streams"
        await gateway.until_outcome("client_cancelled")
        prompt = len(upstream.received[0].body) // 4
        assert await used(gateway) == (2, prompt + 3, prompt + 3)
        upstream.script = hello
        remaining = (await ask(gateway)).headers["x-ratelimit-remaining-tokens"]
        assert int(remaining) == 1000 - prompt - 3


async def test_a_stream_whose_engine_dies_is_charged_and_given_back(tmp_path: Path) -> None:
    async with (
        engine(and_die) as upstream,
        running(chat_registry(upstream.url), tmp_path, keys=[key(concurrent_streams=1)]) as gateway,
    ):
        for _ in range(2):
            assert (await ask(gateway)).status_code == 200  # its end is an error event
        prompt = len(upstream.received[0].body) // 4
        assert await used(gateway) == (2, 2 * (prompt + 3), 2 * (prompt + 3))


async def test_a_stream_that_migrates_is_charged_once_as_the_sum_its_client_sees(tmp_path: Path) -> None:
    dying, well = Writer("a"), Writer("b")
    dying.lives = 20
    async with served(tmp_path, dying, well, keys=[key(tokens_per_day=1000)]) as gateway:
        answer = await ask(gateway)
        uninterrupted(answer.content)
        assert await gateway.value("naru_migrations_total", outcome="continued") == 1
        assert await used(gateway) == (1, PROMPT + len(TEXT), 0)
        assert (await ask(gateway)).headers["x-ratelimit-remaining-tokens"] == str(1000 - PROMPT - len(TEXT))


async def test_a_stream_that_migrates_and_is_left_is_charged_for_all_that_was_sent(tmp_path: Path) -> None:
    dying, well = Writer("a"), Writer("b", pace=0.2)
    dying.lives = 5
    async with served(tmp_path, dying, well, keys=[key(tokens_per_day=1000)]) as gateway:
        async with gateway.http.stream("POST", "/v1/chat/completions", json=STREAM, headers=HEADERS) as answer:
            seen = ""
            async for line in answer.aiter_lines():
                if line:
                    seen += json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
                if len(seen) == 7:  # two of the second engine's
                    break
        await gateway.until_outcome("client_cancelled")
        assert await gateway.value("naru_migrations_total", outcome="continued") == 1
        asked = {"stream_options": {"include_usage": True}, **STREAM}  # as the engine is asked
        prompt = len(json.dumps(asked, separators=(",", ":"))) // 4
        requests, tokens, estimated = await used(gateway)
        assert requests == 1
        assert tokens == estimated
        assert prompt + 7 <= tokens <= prompt + 9  # what was under way as it left


async def test_what_never_began_costs_nothing(tmp_path: Path) -> None:
    async def die(_: Received, wire: Wire) -> None:
        wire.reset()

    async with (
        engine(die) as upstream,
        running(chat_registry(upstream.url, price=PRICE), tmp_path, keys=[key(tokens_per_day=10)]) as gateway,
    ):
        assert (await ask(gateway)).status_code in (502, 503)
        assert (await used(gateway))[1:] == (0, 0)


async def test_the_budget_of_the_day_outlives_the_process(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"keys": [key(tokens_per_day=7)], "usage": {"folder": tmp_path / "usage"}}
    async with engine() as upstream:
        async with running(chat_registry(upstream.url), tmp_path, **settings) as gateway:
            assert (await ask(gateway)).status_code == 200
            await written_down(gateway)
        async with running(chat_registry(upstream.url), tmp_path, **settings) as gateway:
            assert (await ask(gateway)).headers["x-naru-limit"] == "key/tokens_per_day"


async def test_requests_at_once_do_not_run_far_beyond_a_token_limit(tmp_path: Path) -> None:
    limited = key(tokens_per_minute=600)
    async with engine(and_wait) as upstream, running(chat_registry(upstream.url), tmp_path, keys=[limited]) as gateway:
        answers = [asyncio.create_task(ask(gateway)) for _ in range(10)]
        done, running_ = await asyncio.wait(answers, timeout=1.0)
        assert (len(done), len(running_)) == (8, 2)  # nothing is known yet: each is expected to use 512
        assert {(await one).headers["x-naru-limit"] for one in done} == {"key/tokens_per_minute"}
        for one in running_:
            one.cancel()
        await gateway.until_outcome("client_cancelled", 2)
        upstream.script = hello
        assert (await ask(gateway)).status_code == 200  # they used less, and it is given back


async def test_a_whole_answer_is_charged_too(tmp_path: Path) -> None:
    async def whole(_: Received, wire: Wire) -> None:
        await wire.whole(200, {"choices": [], **usage(3, 4)})

    async with (
        engine(whole) as upstream,
        running(chat_registry(upstream.url), tmp_path, keys=[key(tokens_per_minute=7)]) as gateway,
    ):
        assert (await ask(gateway, BODY)).status_code == 200
        assert (await ask(gateway, BODY)).status_code == 429
