"""The API server goes away and comes back: the models do not."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.registry import RegistryError
from tests.gateway.discovery.clusters import announce, ask, gateway, known, pods, registry, until, until_known
from tests.gateway.test_reload import QUICK, reload, reloads, versions
from tests.support.engine import engine
from tests.support.gateway import Running, running
from tests.support.kubernetes import ApiServer, api_server


async def ready(made: Running) -> int:
    async with httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{made.admin_port}/readyz")).status_code


async def test_requests_are_answered_by_what_was_known(tmp_path: Path) -> None:
    async with api_server() as server, pods(2) as (one, two):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path) as made:
            await until_known(made, one)
            assert await made.value("naru_discovery_connected", namespace="default") == 1
            server.stop()
            await until(lambda: not next(iter(made.gateway.discovery.reports())).connected)
            assert await made.value("naru_discovery_connected", namespace="default") == 0
            await asyncio.sleep(0.5)
            assert await made.value("naru_discovery_last_event_age_seconds", namespace="default") > 0.4
            assert await made.value("naru_discovery_faults_total", namespace="default", reason="network") > 0
            assert [(await ask(made)).status_code for _ in range(10)] == [200] * 10
            assert await ready(made) == 200
            await server.start()
            await announce(server, "llm", two)
            await until_known(made, two)
            assert (await ask(made)).headers["x-naru-endpoint"] == f"{two.host}:{two.port}"
            assert await made.value("naru_discovery_lists_total", namespace="default", reason="start") == 1


async def test_a_gateway_that_knows_nothing_yet_is_not_ready(tmp_path: Path) -> None:
    server = ApiServer()
    await server.start()
    server.stop()
    cluster: dict[str, Any] = {"kubernetes": {"server": server.url, "longest_retry": 0.2}}
    async with pods(1) as (one,), running(registry("llm"), tmp_path, **cluster) as made:
        await until(lambda: bool(next(iter(made.gateway.discovery.reports())).faults))
        assert await ready(made) == 503
        assert (await ask(made)).status_code == 503
        await server.start()
        await announce(server, "llm", one)
        await until(lambda: made.gateway.source.complete)
        assert await ready(made) == 200
        assert (await ask(made)).status_code == 200
        server.stop()


async def test_a_new_registry_is_taken_over_while_the_api_server_is_away(tmp_path: Path) -> None:
    async with api_server() as server, pods(1) as (one,):
        await announce(server, "llm", one)
        async with gateway(server, tmp_path, **QUICK) as made:
            server.stop()
            await reload(made, tmp_path, registry("llm", slo={"ttft": "1s"}))
            assert known(made) == [one.host]
            assert (await ask(made)).status_code == 200
            await server.start()


async def test_outside_a_cluster_a_service_is_refused_with_the_reason(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RegistryError, match=r"models\.m\.versions\.llm\.service: .*KUBECONFIG"):
        async with running(registry("llm"), tmp_path):
            pass
    async with engine() as one, running(versions(v1=one), tmp_path, **QUICK) as made:
        await reload(made, tmp_path, registry("llm"), "refused")
        assert await reloads(made, "refused") == 1
        assert (await ask(made)).status_code == 200
        said = [record.__dict__["fields"]["reason"] for record in caplog.records if "refused" in record.message]
        assert "no cluster" in said[0]
