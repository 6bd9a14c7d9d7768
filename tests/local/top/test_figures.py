"""Rates and quantiles are of what happened between two looks, as Prometheus would count them."""

import pytest

from services.local.top.figures import TTFT, Look, Spread, figures
from services.local.top.samples import parse, quantile

HEAD = "process_start_time_seconds 5\nprocess_resident_memory_bytes 1048576\n"
LABELS = 'gen_ai_request_model="m",version="v1",stream="true"'


def look(at: float, text: str = "", *, ready: bool = True) -> Look:
    return Look(at, parse(HEAD + text), {"m": ready}, draining=False)


def ended(outcome: str, count: int, version: str = "v1") -> str:
    return f'naru_requests_total{{operation="chat",model="m",version="{version}",outcome="{outcome}"}} {count}\n'


def buckets(*counts: int) -> str:
    rows = zip(("0.1", "0.2", "+Inf"), counts, strict=True)
    return "".join(f'{TTFT}_bucket{{{LABELS},le="{bound}"}} {count}\n' for bound, count in rows)


@pytest.mark.parametrize(
    ("q", "counts", "expected"),
    [
        (0.5, {"0.1": 10, "0.2": 10, "+Inf": 10}, 0.05),
        (0.5, {"0.1": 0, "0.2": 10, "+Inf": 10}, 0.15),
        (0.95, {"0.1": 90, "0.2": 100, "+Inf": 100}, 0.15),
        (0.99, {"0.1": 0, "0.2": 0, "+Inf": 10}, 0.2),
        (0.5, {"0.1": 0, "0.2": 0, "+Inf": 0}, None),
        (0.5, {}, None),
    ],
)
def test_a_quantile_is_prometheus_own(q: float, counts: dict[str, float], expected: float | None) -> None:
    assert quantile(q, counts) == pytest.approx(expected)


def test_what_was_before_counts_no_more() -> None:
    old = look(0, ended("ok", 1000) + buckets(1000, 1000, 1000))
    new = look(10, ended("ok", 1020) + buckets(1000, 1020, 1020))
    (found,) = figures(old, new).models
    assert found.requests_per_second == pytest.approx(2)
    assert found.ttft.p50 == pytest.approx(0.15)
    assert found.ttft.p95 == pytest.approx(0.195)
    assert found.tpot == Spread(None, None)


def test_errors_are_what_ended_badly_and_a_client_that_left_is_none() -> None:
    new = look(10, ended("ok", 7) + ended("client_cancelled", 2) + ended("upstream_error", 3) + ended("truncated", 1))
    (found,) = figures(look(0), new).models
    assert found.errors == 4
    assert found.outcomes == {"client_cancelled": 2, "ok": 7, "truncated": 1, "upstream_error": 3}


def test_an_objective_is_met_by_the_share_of_the_window() -> None:
    def judged(met: int, missed: int) -> str:
        lines = {"true": met, "false": missed}
        return "".join(
            f'naru_slo_requests_total{{model="m",objective="ttft",met="{met}"}} {count}\n'
            for met, count in lines.items()
        )

    (found,) = figures(look(0, judged(100, 0)), look(10, judged(103, 1))).models
    assert found.slo == {"ttft": 0.75}


def test_a_model_that_nobody_asked_yet_is_shown_too_and_is_not_there_twice() -> None:
    (found,) = figures(look(0), look(10, ready=False)).models
    assert (found.model, found.version, found.ready) == ("m", "", False)
    refused = ended("rejected_saturated", 4, version="") + ended("ok", 1)
    shown = figures(look(0), look(10, refused))
    assert [found.version for found in shown.models] == ["v1"]
    assert shown.refused == {"rejected_saturated": 4}


def test_one_look_alone_gives_no_rate() -> None:
    only = look(3, ended("ok", 9))
    assert figures(only, only).requests_per_second == 0
