"""An endpoint that is back gets requests again within a second, whatever the checks before it met."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.health import HealthChecker
from tests.support.engine import Engine, engine
from tests.support.faults import dropping

INTERVAL, TIMEOUT = 0.1, 4.0
LONG_ENOUGH = 1.1
"""Seconds: TCP has just sent its first packet again, and will not for another one."""


@contextlib.asynccontextmanager
async def watched(port: int) -> AsyncIterator[Endpoint]:
    """An endpoint that a request found gone, and that is checked."""
    checker, endpoint = HealthChecker(INTERVAL, TIMEOUT), Endpoint("m", "v1", f"http://127.0.0.1:{port}", "/health")
    checker.rounds.follow([endpoint])
    running = asyncio.create_task(checker.rounds.run())
    try:
        yield endpoint
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def seconds_until_healthy(endpoint: Endpoint) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(30):
        while not endpoint.healthy:
            await asyncio.sleep(0.01)
    return loop.time() - began


async def test_a_host_that_dropped_packets_is_found_back_at_once() -> None:
    with dropping() as port:
        async with watched(port.getsockname()[1]) as endpoint:
            await asyncio.sleep(LONG_ENOUGH)
            assert not endpoint.healthy
            back = Engine()
            async with await asyncio.start_server(back.handle, sock=port.dup()):
                assert await seconds_until_healthy(endpoint) < 1


async def test_an_engine_that_left_checks_unanswered_is_found_back_at_once() -> None:
    async with engine() as upstream:
        upstream.silent = True
        async with watched(upstream.port) as endpoint:
            await asyncio.sleep(LONG_ENOUGH)
            assert not endpoint.healthy
            upstream.silent = False
            assert await seconds_until_healthy(endpoint) < 1
            checked, began = upstream.connections, asyncio.get_running_loop().time()
            await asyncio.sleep(3 * INTERVAL)
            intervals = (asyncio.get_running_loop().time() - began) / INTERVAL
            most = intervals + 1
            assert upstream.connections - checked <= most, (
                "a healthy endpoint is asked once at a time, once an interval"
            )


async def test_a_healthy_endpoint_may_be_slow_twice() -> None:
    async with engine() as upstream, watched(upstream.port) as endpoint:
        assert await seconds_until_healthy(endpoint) < 1
        async with asyncio.timeout(30):
            while len(upstream.checks) < upstream.connections:  # one is on its way
                await asyncio.sleep(0)
        upstream.silent = True
        before = upstream.connections
        await asyncio.sleep(10 * INTERVAL)
        assert upstream.connections == before + 1, "while one check of a healthy endpoint is on its way, no other is"
        upstream.silent = False
        await asyncio.sleep(2 * INTERVAL)
        assert endpoint.healthy
