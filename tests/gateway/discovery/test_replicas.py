"""Two replicas of the gateway that watch the same Services and share one Redis are one gateway to their callers."""

import asyncio
from pathlib import Path
from typing import Any

import httpx

from services.gateway.policy.keyfile import Key, digest
from tests.gateway.discovery.clusters import CHAT, announce, gateway, pods, registry, until_known
from tests.support.gateway import Running
from tests.support.kubernetes import api_server
from tests.support.redis import needs_redis, redis_server

LIMIT = 30


@needs_redis
async def test_they_agree_on_a_limit_within_one_request_while_pods_come_and_go(tmp_path: Path) -> None:
    key = Key(name="a", tenant="shop", sha256=digest("sk-a"), requests_per_minute=LIMIT)

    async def ask(made: Running) -> httpx.Response:
        return await made.http.post("/v1/chat/completions", json=CHAT, headers={"authorization": "Bearer sk-a"})

    async with redis_server(tmp_path) as redis, api_server() as server, pods(2) as (first, second):
        shared: dict[str, Any] = {"keys": [key], "redis": {"url": redis.url, "timeout": 2.0}}
        models = registry("llm", activation={"timeout": "20s"})
        async with (
            gateway(server, tmp_path, models, **shared) as one,
            gateway(server, tmp_path, models, **shared) as two,
        ):
            # Those that come while there is no pod are counted as they come, at either replica, and once.
            held = [asyncio.create_task(ask(made)) for _ in range(5) for made in (one, two)]
            await asyncio.sleep(0.3)
            await announce(server, "llm", first)
            await asyncio.gather(*held)
            for made in (one, two):
                await until_known(made, first)
            await announce(server, "llm", second)
            answers = await asyncio.gather(*held, *(ask(made) for _ in range(25) for made in (one, two)))
            taken = sum(answer.status_code == 200 for answer in answers)
            assert {answer.status_code for answer in answers} == {200, 429}
            assert abs(taken - LIMIT) <= 1
            assert len(first.received) + len(second.received) == taken
