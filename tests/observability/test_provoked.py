"""Every trouble that a laptop can have is made, and a real Prometheus sees it: a real gateway and a real Redis.

The chart's rules run with windows and `for`s sixty times shorter (`tests.support.prometheus.scaled`); expressions and
thresholds are those of the chart.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.observability.rules import files
from services.observability.rules.rule import Alert
from tests.support.engine import Engine, Received, Wire, delta, engine, usage
from tests.support.faults import refusing
from tests.support.gateway import Running, running
from tests.support.ports import free_ports
from tests.support.prometheus import Prometheus, Target, needs_prometheus, prometheus
from tests.support.redis import Server, needs_redis, redis_server
from tests.support.tls import Authority
from tests.support.tls import files as tls_files

pytestmark = [needs_prometheus, needs_redis, pytest.mark.slow, pytest.mark.timeout(400)]

BY_ITSELF = {"NaruCertificateExpiring", "NaruMetricsMissing"}
"""The certificate ends in an hour, and nothing scrapes an engine."""
PROVOKED = {
    "NaruAvailabilityBurn", "NaruCanaryWorse", "NaruConfigRefused", "NaruEndpointDown", "NaruEndpointEjected",
    "NaruModelLoadingTooLong", "NaruNoHealthyEndpoint", "NaruQueueGrowing", "NaruRedisAway", "NaruTpotBurn",
    "NaruTtftBurn",
}  # fmt: skip
HELD_UP = {"NaruGatewayLoopLag"}
NOT_HERE = {
    "NaruDiscoveryAway",
    "NaruGatewayMemory",
    "NaruGpuErrors",
    "NaruKvCacheFull",
    "NaruPodsPending",
    "NaruPreemptions",
}
"""They need a cluster, or an engine whose memory is full; promtool tries them."""
STEADY = {
    "NaruAvailabilityBurn", "NaruConfigRefused", "NaruEndpointDown", "NaruEndpointEjected", "NaruQueueGrowing",
    "NaruRedisAway",
}  # fmt: skip
"""Silent until their trouble is made, however slow the machine."""
RATE = 8
"""Requests a second to each model."""
SLO = {"ttft": "200ms", "tpot": "50ms", "availability": 99.9}


async def slow(_: Received, wire: Wire) -> None:
    """0.4 s to the first token, 0.1 s for each further one."""
    await asyncio.sleep(0.4)
    await wire.head()
    await wire.events(delta(role="assistant", content=""), *[delta(content="word ")] * 3, pause=0.1)
    await wire.events(usage(5, 3), "[DONE]")
    await wire.last()


async def endless(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="word "))
    await asyncio.sleep(300)


@dataclass
class Models:
    gone: Engine
    ejected: Engine
    well: Engine
    busy: Engine
    canary: Engine
    late: Engine
    nobody: str
    """An address at which nothing listens."""

    def registry(self) -> dict[str, Any]:
        def model(versions: dict[str, dict[str, Any]], **more: Any) -> dict[str, Any]:
            return {"task": "chat", "versions": versions, "slo": SLO, **more}

        return {"models": {
            "gone": model({"v1": {"endpoints": [self.gone.url]}}),
            "ejected": model({"v1": {"endpoints": [self.ejected.url, self.well.url]}}),
            "busy": model({"v1": {"endpoints": [self.busy.url]}}, admission={"concurrency": 1, "queue": 4}),
            "late": model({"v1": {"endpoints": [self.late.url]}}),
            "new": model({
                "v1": {"endpoints": [self.well.url], "weight": 60},
                "v2": {"endpoints": [self.canary.url], "weight": 40},
            }),
            "loading": model({"v1": {"endpoints": [self.nobody]}}),
        }}  # fmt: skip


@contextlib.asynccontextmanager
async def models() -> AsyncIterator[Models]:
    async with engine() as a, engine() as b, engine() as c, engine() as d, engine() as e, engine() as f:
        (port,) = free_ports(1)
        yield Models(a, b, c, d, e, f, f"http://127.0.0.1:{port}")


async def asks(gateway: Running, model: str) -> None:
    """At its rate for ever, however long the answers take."""
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with asyncio.TaskGroup() as asked:
        while True:
            await asyncio.sleep(1 / RATE)
            asked.create_task(gateway.http.post("/v1/chat/completions", json=body))


async def fills(gateway: Running) -> None:
    """One request is answered for ever, and four wait."""
    body = {"model": "busy", "messages": [], "stream": True}
    await asyncio.gather(*(gateway.http.post("/v1/chat/completions", json=body, timeout=300) for _ in range(5)))


async def until_firing(server: Prometheus, wanted: set[str], seconds: float) -> None:
    """Each of them at some time: one that is over again was seen, too."""
    missing = wanted
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while missing := missing - await server.firing():
                await asyncio.sleep(0.5)
    assert not missing, f"not seen firing within {seconds:g} s: {sorted(missing)}"


async def hold_up() -> None:
    """For ever, what runs in the gateway's event loop and must not: work that takes its time."""
    while True:
        time.sleep(0.2)  # noqa: ASYNC251
        await asyncio.sleep(0.1)


async def hold_up_until_seen(server: Prometheus) -> None:
    holding = asyncio.create_task(hold_up())
    await until_firing(server, HELD_UP, 60)
    holding.cancel()


def test_every_alert_is_provoked_or_named() -> None:
    alerts = {r.name for groups in files().values() for group in groups for r in group.rules if isinstance(r, Alert)}
    assert alerts == BY_ITSELF | PROVOKED | HELD_UP | NOT_HERE


def provoke(models: Models, redis: Server, registry: Path) -> None:
    """Everything at once: an alert that another trouble would hide is no good."""
    models.gone.stop()
    models.ejected.script = refusing(500)
    models.late.script = models.canary.script = slow
    redis.stop()
    registry.write_text("models: {}", encoding="utf-8")


async def test_a_trouble_is_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folders = {name: tmp_path / name for name in ("gateway", "redis", "prometheus", "tls")}
    for folder in folders.values():
        folder.mkdir()
    began = time.monotonic()
    async with models() as made, redis_server(folders["redis"]) as redis:
        made.busy.script = endless
        settings: dict[str, Any] = {
            "redis": {"url": redis.url}, "resilience": {"eject_time": 0.5, "retry_floor": 1000},
            "grpc": {"tls": tls_files(folders["tls"], Authority(), mutual=False)}, "registry_poll": 0.2,
        }  # fmt: skip
        async with (
            running(made.registry(), folders["gateway"], healthy=False, **settings) as gateway,
            prometheus(folders["prometheus"], [Target(f"127.0.0.1:{gateway.admin_port}", "gateway")]) as server,
            asyncio.TaskGroup() as group,
        ):
            await until_firing(server, BY_ITSELF, 60)
            asking = [group.create_task(asks(gateway, name)) for name in ("gone", "ejected", "late", "new")]
            await asyncio.sleep(8)
            assert not STEADY & await server.firing()
            provoke(made, redis, folders["gateway"] / "registry.yaml")
            asking.append(group.create_task(fills(gateway)))
            await until_firing(server, PROVOKED, 150)
            for task in asking:
                task.cancel()
            await hold_up_until_seen(server)
            gateway.gateway.admin.should_exit = True
            await until_firing(server, {"NaruMetricsMissing"}, 60)
        with capsys.disabled():
            print(f"\n{len(BY_ITSELF | PROVOKED | HELD_UP)} alerts seen firing in {time.monotonic() - began:.0f} s")
