"""A gateway is one process with one registry of metrics; several are several targets, and their sums are right."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.engine import engine
from tests.support.gateway import Running, chat_registry, running
from tests.support.prometheus import INTERVAL, Prometheus, Target, needs_prometheus, prometheus

pytestmark = [needs_prometheus, pytest.mark.slow]

BODY = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
ASKED = 'naru_requests_total{model="m",outcome="ok"}'
SCRAPES = 4


@contextlib.asynccontextmanager
async def two(folder: Path) -> AsyncIterator[tuple[Running, Running]]:
    folders = [folder / name for name in ("one", "other")]
    for each in folders:
        each.mkdir()
    async with (
        engine() as upstream,
        running(chat_registry(upstream.url), folders[0]) as one,
        running(chat_registry(upstream.url), folders[1]) as other,
    ):
        yield one, other


async def ask(gateway: Running, times: int) -> None:
    for _ in range(times):
        assert (await gateway.http.post("/v1/chat/completions", json=BODY)).status_code == 200


async def until(server: Prometheus, query: str, wanted: set[float]) -> None:
    """Prometheus has seen it: a scrape may be late."""
    async with asyncio.timeout(20):
        while await numbers(server, query) != wanted:
            await asyncio.sleep(0.2)


async def numbers(server: Prometheus, query: str) -> set[float]:
    return {value for _, value in await server.query(query)}


async def test_two_gateways_add_up_and_no_series_comes_and_goes(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        targets = [Target(f"127.0.0.1:{each.admin_port}", "gateway") for each in (one, other)]
        async with prometheus(tmp_path, targets) as server:
            await asyncio.gather(ask(one, 1), ask(other, 1))
            await asyncio.sleep((SCRAPES + 1) * INTERVAL)
            for _ in range(SCRAPES):  # while it scrapes
                await asyncio.gather(ask(one, 30), ask(other, 10), asyncio.sleep(INTERVAL))
            await until(server, f"sum ({ASKED})", {4 * 40 + 2})
            assert await numbers(server, f"sum by (instance) ({ASKED})") == {4 * 30 + 1, 4 * 10 + 1}
            assert await numbers(server, f"resets({ASKED}[1m])") == {0}
            assert await numbers(server, "sum by (le) (naru_time_to_first_byte_seconds_bucket{le='+Inf'})") == {162}
            # Each scrape found each series of that gateway: none is another process's turn to answer.
            every = f"count_over_time(naru_model_info[{SCRAPES}s])"
            assert await numbers(server, f"count_over_time({ASKED}[{SCRAPES}s]) == bool on (instance) {every}") == {1}
            assert await numbers(server, "changes(process_start_time_seconds[1m])") == {0}
