"""A task model's slow answer is asked for a second time, and the first of the two is taken."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.support.engine import Engine, Received, Wire, engine
from tests.support.gateway import Running, running

BODY = {"input": "fine"}
ANSWER: dict[str, list[object]] = {"results": []}


async def prompt(_: Received, wire: Wire) -> None:
    await wire.whole(200, ANSWER)


async def stuck(_: Received, wire: Wire) -> None:
    await asyncio.sleep(30)


async def failing(_: Received, wire: Wire) -> None:
    await wire.whole(500, {})


@contextlib.asynccontextmanager
async def served(
    folder: Path, *, resilience: dict[str, Any] | None = None, **model: Any
) -> AsyncIterator[tuple[Running, Engine, Engine]]:
    """A sentiment model with two endpoints, whose usual answer time is known; the first is asked first."""
    async with engine(prompt) as first, engine(prompt) as second:
        urls = [first.url, second.url]
        registry = {"models": {"s": {"task": "sentiment", "versions": {"v1": {"endpoints": urls}}, **model}}}
        limits = {"health_interval": 600, "total_timeout": 1.0}
        async with running(registry, folder, upstream=limits, resilience=resilience or {}) as gateway:
            for _ in range(32):
                assert (await gateway.http.post("/v1/sentiment", json=BODY)).status_code == 200
            gateway.gateway.health.rounds.followed[1].in_flight += 5
            for each in (first, second):
                each.received.clear()
            yield gateway, first, second


async def hedges(gateway: Running, outcome: str) -> float:
    return await gateway.value("naru_hedges_total", model="s", outcome=outcome)


async def test_the_second_answers_where_the_first_is_stuck(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, first, second):
        first.script = stuck
        answer = await gateway.http.post("/v1/sentiment", json=BODY)
        assert answer.json() == ANSWER
        assert answer.headers["x-naru-endpoint"].endswith(str(second.port))
        await asyncio.wait_for(first.left.wait(), 20)
        assert first.received[0].body == second.received[0].body
        assert await hedges(gateway, "won") == 1
        assert await gateway.outcome("ok") == 33
        assert gateway.gateway.health.rounds.followed[0].in_flight == 0


async def test_a_hedge_that_fails_leaves_the_first_to_answer(tmp_path: Path) -> None:
    async def late(_: Received, wire: Wire) -> None:
        await asyncio.sleep(0.3)
        await wire.whole(200, ANSWER)

    async with served(tmp_path) as (gateway, first, second):
        first.script, second.script = late, failing
        answer = await gateway.http.post("/v1/sentiment", json=BODY)
        assert answer.status_code == 200
        assert answer.headers["x-naru-endpoint"].endswith(str(first.port))
        assert await hedges(gateway, "lost") == 1


async def test_both_stuck_is_one_timeout(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, first, second):
        first.script = second.script = stuck
        assert (await gateway.http.post("/v1/sentiment", json=BODY)).status_code == 504
        assert (len(first.received), len(second.received)) == (1, 1)
        await asyncio.wait_for(first.left.wait(), 20)
        await asyncio.wait_for(second.left.wait(), 20)
        assert [endpoint.in_flight for endpoint in gateway.gateway.health.rounds.followed] == [0, 5]


async def test_a_client_that_leaves_stops_both(tmp_path: Path) -> None:
    async with served(tmp_path) as (gateway, first, second):
        first.script = second.script = stuck
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await gateway.http.post("/v1/sentiment", json=BODY)
        await asyncio.wait_for(first.left.wait(), 20)
        await asyncio.wait_for(second.left.wait(), 20)


async def test_hedges_are_paid_from_the_retry_budget(tmp_path: Path) -> None:
    async with served(tmp_path, resilience={"retry_share": 0, "retry_floor": 0}) as (gateway, first, second):
        first.script = stuck
        assert (await gateway.http.post("/v1/sentiment", json=BODY)).status_code == 504
        assert not second.received
        assert await gateway.value("naru_retry_budget_exhausted_total", model="s") == 1


async def test_off_for_what_nobody_waits_for(tmp_path: Path) -> None:
    async with served(tmp_path, role={"trigger": "proactive"}) as (gateway, first, second):
        first.script = stuck
        assert (await gateway.http.post("/v1/sentiment", json=BODY)).status_code == 504
        assert not second.received
