"""Every query of every dashboard and rule against the real stack under load: no error, and data in every panel."""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.observability.boards import PANELS, Panel
from tests.stack.conftest import KEY, MODEL, Stack
from tests.stack.observed import LIMITED, Beside, beside
from tests.support.engine import Received, Wire, engine
from tests.support.prometheus import INTERVAL, Prometheus, Target, needs_prometheus, prometheus
from tests.support.redis import needs_redis, redis_server

pytestmark = [pytest.mark.stack, needs_prometheus, needs_redis, pytest.mark.timeout(300)]

PATIENCE = 150
"""Seconds until what is still missing never comes."""
SAMPLE = Path(__file__).parents[1] / "observability" / "cluster.prom"
VARIABLES = {
    "$__rate_interval": "5m", "$__range": "5m", "$namespace": ".*", "$model": ".*", "$version": ".*",
    "$tenant": ".*", "$pool": ".*", "$gpu_price": "2.50",
}  # fmt: skip
CLUSTER = {
    "naru-gateway: Discovered endpoints", "naru-gateway: Discovery", "naru-gateway: Discovery faults",
    "naru-gpu: Busy", "naru-gpu: Clock", "naru-gpu: Cost an hour", "naru-gpu: Faulty GPUs", "naru-gpu: GPUs",
    "naru-gpu: GPUs by pool", "naru-gpu: Last XID error", "naru-gpu: Memory", "naru-gpu: Pending",
    "naru-gpu: Pending pods", "naru-gpu: Power", "naru-gpu: Remapped rows", "naru-gpu: Replicas",
    "naru-gpu: Temperature", "naru-gpu: Throttled", "naru-gpu: Utilisation", "naru-llm: Paid for 1,000 tokens",
}  # fmt: skip
"""Panels that need a cluster or a GPU: their series are those of `cluster.prom`."""


def filled(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


def test_what_needs_a_cluster_is_named() -> None:
    assert {panel.id for panel in PANELS if panel.outside} == CLUSTER


def well(answer: httpx.Response) -> None:
    assert answer.status_code == 200, answer.text


class Load:
    """What users do, at both gateways."""

    def __init__(self, stack: Stack, second: Beside, client: httpx.AsyncClient) -> None:
        self._stack, self._second, self._client = stack, second, client

    async def _post(self, base: str, path: str, body: dict[str, object], key: str = KEY) -> httpx.Response:
        return await self._client.post(f"{base}{path}", json=body, headers={"authorization": f"Bearer {key}"})

    async def chat(self, base: str, model: str = MODEL, key: str = KEY, **more: object) -> httpx.Response:
        messages = [{"role": "user", "content": "Name a sea."}]
        body = {"model": model, "messages": messages, "max_tokens": 8, "stream": True, **more}
        return await self._post(base, "/v1/chat/completions", body, key)

    async def tasks(self, base: str) -> None:
        well(await self._post(base, "/v1/sentiment", {"input": ["What a ferry!", "정말 지루한 영화였다"]}))
        well(await self._post(base, "/v1/recommendations", {"user_id": "196"}))

    async def leave(self) -> None:
        """In the middle of a stream: its tokens are estimated."""
        messages = [{"role": "user", "content": "Tell a story."}]
        body = {"model": MODEL, "messages": messages, "max_tokens": 64, "stream": True}  # its copy runs to its end
        headers = {"authorization": f"Bearer {KEY}"}
        url = f"{self._second.url}/v1/chat/completions"
        async with self._client.stream("POST", url, json=body, headers=headers) as answer:
            async for piece in answer.aiter_lines():
                if '"content":"' in piece and '"content":""' not in piece:
                    return

    async def chats(self) -> None:
        one, two = self._stack.gateway, self._second.url
        again: dict[str, Any] = {"temperature": 0, "seed": 1}
        well(await self.chat(one))
        well(await self.chat(two))
        well(await self.chat(two, stream=False))
        well(await self.chat(two, "closed"))
        await self.leave()
        await self.chat(two, **again)
        await self.chat(two, **again)
        await asyncio.gather(*(self.chat(two, key=LIMITED, max_tokens=1) for _ in range(3)))
        await asyncio.gather(*(self.chat(two, "refusing", max_tokens=2) for _ in range(4)))
        await asyncio.gather(*(self.chat(two, max_tokens=2) for _ in range(8)))  # more than run and wait

    async def others(self) -> None:
        """What takes no turn of the real engine's."""
        one, two = self._stack.gateway, self._second.url
        await asyncio.gather(self.tasks(one), self.tasks(two))
        await asyncio.gather(*(self.chat(two, "fragile", max_tokens=2) for _ in range(3)))
        for _ in range(30):
            await self._post(two, "/v1/sentiment", {"model": "moody", "input": "fine"})

    async def go_on(self) -> None:
        """For ever: whatever is counted grows between scrapes. What only grew before its first one has no rate."""
        async with asyncio.TaskGroup() as users:
            for do in (self.chats, self.others):
                users.create_task(self._again_and_again(do))

    @staticmethod
    async def _again_and_again(do: Callable[[], Awaitable[None]]) -> None:
        while True:
            await do()
            await asyncio.sleep(INTERVAL)


@pytest.fixture
async def cluster() -> AsyncIterator[str]:
    """Where a cluster's exporters would be: `host:port`."""

    async def none(_: Received, wire: Wire) -> None:
        await wire.whole(404, {})

    async with engine(none) as made:
        made.page = SAMPLE.read_bytes()
        yield made.url.removeprefix("http://")


def targets(stack: Stack, second: Beside, cluster: str) -> list[Target]:
    """As the chart's monitors label them."""

    def engine(url: str, model: str) -> Target:
        return Target(url.removeprefix("http://"), "model", {"naru_model": model, "naru_version": "v1"})

    return [
        Target(stack.admin.removeprefix("http://"), "gateway"), Target(second.admin, "gateway"),
        engine(stack.llm, MODEL), engine(stack.sentiment, "sentiment"), engine(stack.recommendation, "recommendation"),
        Target(cluster, "cluster", own=False),
    ]  # fmt: skip


async def faults(server: Prometheus, panel: Panel) -> list[str]:
    """The queries of a panel that give nothing."""
    found = []
    for query in panel.queries:
        values = [value for _, value in await server.query(filled(query))]
        if not any(math.isfinite(value) for value in values):
            found.append(f"{panel.id}: no data for {query}")
    return found


async def troubles(server: Prometheus) -> list[str]:
    """Targets that can't be scraped, rules that can't be computed or record nothing."""
    found = [f"{url}: {error}" for url, error in (await server.up()).items() if error]
    for rule in await server.rules():
        if rule["health"] != "ok":
            found.append(f"{rule['name']}: {rule['health']} {rule.get('lastError', '')}")
        elif rule["type"] == "recording" and not await server.query(rule["name"]):
            found.append(f"{rule['name']}: nothing recorded")
    return found


async def settled(server: Prometheus) -> None:
    """Every panel has had its data, and nothing is wrong any more."""
    wanting, missing = PANELS, ["nothing was asked in all that time"]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while missing:
                await asyncio.sleep(INTERVAL)
                found = [(panel, await faults(server, panel)) for panel in wanting]
                wanting = [panel for panel, without in found if without]
                missing = [fault for _, without in found for fault in without] or await troubles(server)
    assert not missing, "\n".join(missing)


async def test_every_panel_has_data(
    stack: Stack, cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / name for name in ("gateway", "redis", "prometheus")]
    for folder in folders:
        folder.mkdir()
    began = time.monotonic()
    async with (
        redis_server(folders[1]) as redis,
        beside(stack, folders[0], redis.url) as second,
        prometheus(folders[2], targets(stack, second, cluster), factor=10) as server,
        httpx.AsyncClient(timeout=60) as client,
        asyncio.TaskGroup() as group,
    ):
        users = group.create_task(Load(stack, second, client).go_on())
        await settled(server)
        users.cancel()
        rules = await server.rules()
        with capsys.disabled():
            queries = sum(len(panel.queries) for panel in PANELS)
            print(f"\n{len(PANELS)} panels, {queries} queries, {len(rules)} rules: {time.monotonic() - began:.0f} s")
