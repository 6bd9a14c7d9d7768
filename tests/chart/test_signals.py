"""What KEDA asks Prometheus, answered by promtool: what starts a model, what keeps it, and what must not stop it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.chart.rendering import named, render
from tests.support.prometheus import PROMTOOL, needs_prometheus

pytestmark = needs_prometheus

OF = 'namespace="models",model="m"'
GATEWAY = {'up{namespace="models",job="gateway",pod="g"}': "1+0x10"}
REQUESTS = {f'naru_inflight_requests{{{OF},pod="g"}}': "6+0x10", f'naru_inflight_requests{{{OF},pod="h"}}': "4+0x10"}


def triggers(**versions: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The triggers of v1, by name."""
    signals = {"queued": 2, "waiting": 4, "kvCache": 0.8, "ttftBurn": 2}
    model = {
        "task": "chat", "runtime": "vllm", "slo": {"ttft": "1s", "percentile": 90},
        "autoscaling": {"kind": "keda", "min": 0, "signals": signals}, "versions": versions or {"v1": {}},
    }  # fmt: skip
    manifests = render({"prometheus": {"address": "http://p:9090"}, "models": {"m": model}})
    return {each["name"]: each for each in named(manifests, "ScaledObject", "naru-m-v1")["spec"]["triggers"]}


def answer(query: str, series: dict[str, str], folder: Path) -> float | None:
    """The one value of a query after five minutes, or None; promtool tells it as what it got in place of another."""
    given = [{"series": name, "values": values} for name, values in series.items()]
    another = {"expr": query, "eval_time": "5m", "exp_samples": [{"labels": "never{}", "value": 4711}]}
    trial = {"interval": "1m", "input_series": given, "promql_expr_test": [another]}
    unit = {"evaluation_interval": "1m", "tests": [trial]}
    path = folder / "test.yaml"
    path.write_text(yaml.safe_dump(unit), encoding="utf-8")
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "test", "rules", str(path)], capture_output=True, text=True, check=False)
    (line,) = (each for each in (done.stdout + done.stderr).splitlines() if "got:" in each)
    value = line.partition("got:")[2].split()[-1]
    return None if value == "nil" else float(value)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (GATEWAY | REQUESTS, 10),
        (GATEWAY, 0),  # no request ever: idle
        ({}, None),  # no gateway is scraped: KEDA's fallback, and no model is stopped
    ],
    ids=["busy", "idle", "blind"],
)
def test_a_model_without_requests_is_idle_only_if_somebody_looked(
    series: dict[str, str], expected: float | None, tmp_path: Path
) -> None:
    found = triggers()["in-flight"]
    assert answer(found["metadata"]["query"], series, tmp_path) == expected
    assert found["metadata"]["ignoreNullValues"] == "false"


def test_a_version_scales_by_its_share_of_the_weights(tmp_path: Path) -> None:
    query = triggers(v1={"weight": 30}, v2={"weight": 70})["in-flight"]["metadata"]["query"]
    assert answer(query, GATEWAY | REQUESTS, tmp_path) == pytest.approx(3)


def test_a_version_scales_by_its_share_of_what_gateways_hold(tmp_path: Path) -> None:
    query = triggers(v1={"weight": 30}, v2={"weight": 70})["queued"]["metadata"]["query"]
    held = {f'naru_queue_depth{{{OF},priority="{each}",pod="g"}}': "5+0x10" for each in ("interactive", "batch")}
    assert answer(query, GATEWAY | held, tmp_path) == pytest.approx(3)


def test_a_request_between_two_scrapes_keeps_a_model(tmp_path: Path) -> None:
    query = triggers()["used"]["metadata"]["query"]
    counter = {f'naru_requests_total{{{OF},outcome="ok"}}': "0+1x10"}
    assert answer(query, GATEWAY | counter, tmp_path) == pytest.approx(1)


def test_a_model_that_loads_is_not_taken_away_again(tmp_path: Path) -> None:
    found = triggers()["loading"]
    assert answer(found["metadata"]["query"], {f"naru_model_activating{{{OF}}}": "1+0x10"}, tmp_path) == pytest.approx(
        1
    )
    assert float(found["metadata"]["threshold"]) >= 1e9  # it keeps a pod, it asks for no second one


def test_missed_promises_are_counted_against_what_the_percentile_allows(tmp_path: Path) -> None:
    of = f'naru_slo_requests_total{{{OF},objective="ttft",met='
    series = {f'{of}"true"}}': "0+80x10", f'{of}"false"}}': "0+20x10"}
    assert answer(triggers()["ttft-burn"]["metadata"]["query"], series, tmp_path) == pytest.approx(2)


def test_an_engine_is_asked_for_its_own_version(tmp_path: Path) -> None:
    waiting, cache = "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"
    of = 'namespace="models",naru_model="m",naru_version='
    series = {
        f'{waiting}{{{of}"v1",pod="a"}}': "3+0x10", f'{waiting}{{{of}"v1",pod="b"}}': "2+0x10",
        f'{waiting}{{{of}"v2",pod="c"}}': "50+0x10",
        f'{cache}{{{of}"v1",pod="a"}}': "0.5+0x10", f'{cache}{{{of}"v1",pod="b"}}': "0.7+0x10",
    }  # fmt: skip
    found = triggers()
    assert answer(found["waiting"]["metadata"]["query"], series, tmp_path) == pytest.approx(5)
    assert answer(found["kv-cache"]["metadata"]["query"], series, tmp_path) == pytest.approx(0.6)
