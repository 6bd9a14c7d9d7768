"""The metrics' names, labels and buckets, which dashboards and alerts read."""

import asyncio
import time

from prometheus_client import CollectorRegistry

from services.gateway.answers import Answer, VersionMetrics
from services.gateway.metrics import LAG_INTERVAL, Metrics
from services.gateway.registry import Registry, Slo


def answer(outcome: str = "ok", **fields: object) -> Answer:
    given: dict[str, object] = {
        "outcome": outcome, "client_fault": False, "stream": True, "tenant": "t", "received": 10.0, "dispatched": 10.0,
        "ended": 11.5, "first_byte": 10.1, "first_token": 10.2, "last_token": 11.2, "input_tokens": 7,
        "output_tokens": 11, "overhead": 0.001,
    }  # fmt: skip
    return Answer(**{**given, **fields})  # type: ignore[arg-type]


def recorded(*answers: Answer, slo: Slo | None = None) -> CollectorRegistry:
    registry = CollectorRegistry()
    version = VersionMetrics(
        Metrics(registry), "chat", "m", "v1", slo or Slo(ttft=0.5, tpot=0.05, availability=99.9)
    )  # fmt: skip
    for one in answers:
        version.record(one)
    return registry


LABELS = {"gen_ai_operation_name": "chat", "gen_ai_request_model": "m", "version": "v1"}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, labels)


def test_definitions() -> None:
    found = recorded(answer())
    ttft = value(found, "gen_ai_server_time_to_first_token_seconds_sum", **LABELS, stream="true")
    tpot = value(found, "gen_ai_server_time_per_output_token_seconds_sum", **LABELS)
    assert ttft is not None
    assert tpot is not None
    assert round(ttft, 6) == 0.2
    assert round(tpot, 6) == 0.1
    assert value(found, "gen_ai_server_request_duration_seconds_sum", **LABELS, error_type="") == 1.5
    assert value(found, "gen_ai_client_token_usage_sum", **LABELS, gen_ai_token_type="output") == 11
    assert value(found, "naru_tokens_total", model="m", version="v1", tenant="t", type="input") == 7
    assert value(found, "naru_requests_total", operation="chat", model="m", version="v1", outcome="ok") == 1


def test_a_broken_stream_is_no_success() -> None:
    found = recorded(answer("truncated"))
    assert value(found, "gen_ai_server_time_per_output_token_seconds_count", **LABELS) == 0
    assert value(found, "gen_ai_server_request_duration_seconds_count", **LABELS, error_type="truncated") == 1
    for objective in ("availability", "ttft", "tpot"):
        assert value(found, "naru_slo_requests_total", model="m", objective=objective, met="false") == 1


def test_one_token_has_no_tpot() -> None:
    found = recorded(answer(output_tokens=1), answer(output_tokens=None), answer(stream=False))
    assert value(found, "gen_ai_server_time_per_output_token_seconds_count", **LABELS) == 0


def test_a_client_that_leaves_is_not_held_against_the_service() -> None:
    found = recorded(answer("client_cancelled"), answer("engine_refused", client_fault=True))
    assert value(found, "naru_slo_requests_total", model="m", objective="availability", met="false") == 0


def test_who_got_nothing_at_all_was_let_down_too() -> None:
    registry = CollectorRegistry()
    metrics, slo = Metrics(registry), Slo(ttft=0.5, availability=99.9)
    metrics.refused("chat", "no_healthy_endpoint", "m", slo)
    metrics.refused("chat", "rejected_saturated", "m", slo)
    metrics.refused("chat", "client_cancelled", "m", slo)
    metrics.refused("chat", "engine_refused", "m")
    for objective in ("availability", "ttft"):
        assert value(registry, "naru_slo_requests_total", model="m", objective=objective, met="false") == 2
    assert value(registry, "naru_slo_requests_total", model="m", objective="tpot", met="false") is None


def test_objectives_are_judged_by_their_own_limit() -> None:
    found = recorded(answer(), slo=Slo(ttft=0.1, tpot=0.2))
    assert value(found, "naru_slo_requests_total", model="m", objective="ttft", met="false") == 1
    assert value(found, "naru_slo_requests_total", model="m", objective="tpot", met="true") == 1
    assert value(found, "naru_slo_requests_total", model="m", objective="availability", met="true") is None


def test_a_good_request_meets_every_objective_at_once() -> None:
    slow_start, slow_tokens = answer(first_token=10.9), answer(last_token=11.4, output_tokens=3)
    found = recorded(answer(), slow_start, slow_tokens, answer("truncated"), slo=Slo(ttft=0.5, tpot=0.2))
    assert value(found, "naru_slo_requests_total", model="m", objective="ttft", met="true") == 2
    assert value(found, "naru_good_requests_total", model="m", version="v1") == 1


def test_what_the_registry_promises_is_shown_before_the_first_request() -> None:
    found = CollectorRegistry()
    model = {"task": "chat", "slo": {"ttft": "400ms", "percentile": 99}}
    versions = {"v1": {"endpoints": ["http://e"], "weight": 90}, "v2": {"endpoints": ["http://f"], "weight": 30}}
    metrics = Metrics(found)
    metrics.promise(Registry.model_validate({"models": {"m": {**model, "versions": versions}}}))
    assert value(found, "naru_slo_target_ratio", model="m", objective="ttft") == 0.99
    assert value(found, "naru_slo_threshold_seconds", model="m", objective="ttft") == 0.4
    assert value(found, "naru_slo_target_ratio", model="m", objective="availability") is None
    assert value(found, "naru_slo_requests_total", model="m", objective="ttft", met="false") == 0
    assert value(found, "naru_version_weight", model="m", version="v1") == 0.75
    assert value(found, "naru_model_info", model="m", task="chat", criticality="core", trigger="reactive") == 1
    metrics.promise(Registry.model_validate({"models": {"n": {**model, "versions": versions}}}))
    assert value(found, "naru_slo_target_ratio", model="m", objective="ttft") is None


async def test_an_event_loop_that_is_held_up_is_late() -> None:
    found = CollectorRegistry()
    metrics = Metrics(found)
    keeping = asyncio.create_task(metrics.keep_time())
    await asyncio.sleep(0)
    time.sleep(LAG_INTERVAL + 0.5)  # noqa: ASYNC251 - what a handler must not do
    while not value(found, "naru_event_loop_lag_seconds_count"):
        await asyncio.sleep(0.01)
    keeping.cancel()
    late = value(found, "naru_event_loop_lag_seconds_sum")
    assert late is not None
    assert late >= 0.5
    assert value(found, "naru_event_loop_lag_seconds_bucket", le="0.25") == 0


def test_the_buckets_are_the_designs() -> None:
    found = {family.name: family for family in recorded(answer()).collect()}

    def bounds(name: str) -> list[str]:
        samples = found[name].samples
        return list(dict.fromkeys(s.labels["le"] for s in samples if s.name.endswith("_bucket")))

    ttft = ".001 .005 .01 .02 .04 .06 .08 .1 .15 .2 .25 .3 .45 .5 .75 1 1.5 2 2.5 3 4.5 5 6 7.5 10 20 40 80"
    tpot = ".001 .0025 .005 .0075 .01 .015 .02 .025 .03 .04 .05 .06 .075 .08 .1 .15 .175 .2 .3 .4 .5 .75 1 2.5"
    duration = ".005 .01 .02 .04 .08 .16 .32 .64 1.28 2.56 5.12 10.24 20.48 40.96 81.92"
    for name, expected in (
        ("gen_ai_server_time_to_first_token_seconds", ttft),
        ("gen_ai_server_time_per_output_token_seconds", tpot),
        ("gen_ai_server_request_duration_seconds", duration),
    ):
        assert [float(b) for b in bounds(name)] == [*map(float, expected.split()), float("inf")]
    assert [float(b) for b in bounds("gen_ai_client_token_usage")][:-1] == [4**i for i in range(14)]
