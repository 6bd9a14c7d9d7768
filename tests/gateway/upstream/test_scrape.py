"""Engines' own load reaches routing, and never stands in a request's way."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.gateway.upstream.test_vitals import PAGE
from tests.support.engine import engine
from tests.support.gateway import Running, chat_registry, running

FAST = {"scrape_interval": 0.05, "scrape_stale": 0.3}
IDLE = PAGE.replace(b"} 3.0", b"} 0.0")


def registry(*urls: str) -> dict[str, Any]:
    return {"models": {"m": {"task": "chat", "versions": {"v1": {"endpoints": list(urls)}}}}}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


async def answered_by(gateway: Running) -> str:
    answer = await gateway.http.post("/v1/chat/completions", json={"model": "m", "messages": [], "stream": True})
    assert answer.status_code == 200
    return f"http://{answer.headers['x-naru-endpoint']}"


async def test_requests_go_where_no_queue_is(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(registry(one.url, two.url), tmp_path, routing=FAST) as gateway:
        endpoints = gateway.gateway.health.rounds.followed
        one.page, two.page = PAGE, IDLE
        await until(lambda: [e.vitals and e.vitals.waiting for e in endpoints] == [3, 0])
        assert {await answered_by(gateway) for _ in range(10)} == {two.url}
        one.page, two.page = IDLE, PAGE
        await until(lambda: [e.vitals and e.vitals.waiting for e in endpoints] == [0, 3])
        assert {await answered_by(gateway) for _ in range(10)} == {one.url}


async def test_what_was_said_long_ago_counts_no_more(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(registry(one.url, two.url), tmp_path, routing=FAST) as gateway:
        endpoints = gateway.gateway.health.rounds.followed
        one.page = two.page = PAGE
        await until(lambda: all(e.vitals for e in endpoints))
        one.page = b"no longer vLLM"
        await until(lambda: endpoints[0].vitals is None)
        assert endpoints[1].vitals is not None


async def test_an_engine_that_never_answers_a_scrape_still_answers_requests(tmp_path: Path) -> None:
    async with engine() as one, engine() as two:
        one.scrape_seconds = 60
        async with running(registry(one.url, two.url), tmp_path, routing=FAST) as gateway:
            await until(lambda: one.scrapes > 0)
            assert {await answered_by(gateway) for _ in range(50)} == {one.url, two.url}


async def test_a_version_with_one_endpoint_is_not_scraped(tmp_path: Path) -> None:
    async with engine() as one, engine() as two:
        async with running(chat_registry(one.url, two.url), tmp_path, routing=FAST) as gateway:
            await answered_by(gateway)
            await asyncio.sleep(0.2)
        assert one.scrapes == two.scrapes == 0
