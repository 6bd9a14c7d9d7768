"""Time series of models and versions that are no more."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from services.gateway import series
from services.gateway.metrics import Metrics
from services.gateway.series import KEPT, Retiring
from tests.gateway.test_reload import QUICK, ask, reload, versions
from tests.support.engine import engine
from tests.support.gateway import running
from tests.support.samples import Samples, parse


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def page(registry: CollectorRegistry) -> Samples:
    return parse(generate_latest(registry).decode())


def count(samples: Samples, **labels: str) -> float:
    return samples.sum("naru_requests_total", **labels)


def test_a_version_s_series_stay_for_some_scrapes_and_then_go() -> None:
    registry, clock = CollectorRegistry(), Clock()
    metrics = Metrics(registry)
    retiring = Retiring(metrics.instruments(), clock)
    retiring.use({"m": ["v1", "v2"], "n": ["v1"]})
    for model, version in (("m", "v1"), ("m", "v2"), ("n", "v1"), ("m", "")):
        metrics.requests.labels("chat", model, version, "ok").inc()
        metrics.ttft.labels("chat", model, version, "true").observe(0.1)
    metrics.fallbacks.labels("m", "n").inc()
    metrics.inflight.labels("n")
    retiring.use({"m": ["v2"]})
    clock.now += KEPT - 1
    retiring.sweep()
    assert count(page(registry)) == 4
    clock.now += 1
    retiring.sweep()
    left = page(registry)
    assert (count(left), count(left, model="m", version="v2"), count(left, model="m", version="")) == (2, 1, 1)
    assert left.sum("gen_ai_server_time_to_first_token_seconds_count") == 2
    assert left.sum("naru_fallbacks_total") == 0
    assert "naru_inflight_requests{" not in generate_latest(registry).decode()


def test_what_comes_back_in_time_counts_on() -> None:
    registry, clock = CollectorRegistry(), Clock()
    metrics = Metrics(registry)
    retiring = Retiring(metrics.instruments(), clock)
    for there in (["v1", "v2"], ["v2"], ["v1", "v2"]):
        retiring.use({"m": there})
        metrics.requests.labels("chat", "m", "v1", "ok").inc()
        clock.now += KEPT / 2
    clock.now += KEPT
    retiring.sweep()
    assert count(page(registry), version="v1") == 3


async def test_a_reload_lets_the_series_of_what_it_removed_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(series, "KEPT", 0.0)
    async with engine() as one, engine() as two, running(versions(v1=one), tmp_path, **QUICK) as gateway:
        assert (await ask(gateway)).status_code == 200
        await gateway.until_outcome("ok", 1)
        await reload(gateway, tmp_path, versions(v2=two))
        assert await gateway.outcome("ok", version="v1") == 1  # a scrape still sees it
        gateway.gateway.retiring.sweep()
        assert await gateway.outcome("ok", version="v1") == 0
        assert (await ask(gateway)).headers["x-naru-version"] == "v2"
        await gateway.until_outcome("ok", 1)
