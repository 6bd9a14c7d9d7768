"""Quantiles, goodput and what an SLO says of them."""

import random
import statistics

import pytest

from loadtests.load.answer import Reply
from loadtests.load.histogram import Histogram
from loadtests.load.slo import judge
from loadtests.load.totals import Totals, is_good, summed
from services.gateway.registry import Slo


def filled(*values: float) -> Histogram:
    made = Histogram()
    made.add(values)
    return made


def reply(ttft: float, tpot: float = 0.01, error: str = "") -> Reply:
    made = Reply(100.0, status=200, first=100 + ttft, last=100 + ttft + 10 * tpot, tokens=11, error=error)
    made.ended = made.last or 0.0
    return made


def test_quantiles_are_true_to_a_tenth_of_a_percent() -> None:
    draw = random.Random(1)
    values = [draw.lognormvariate(-3, 1) for _ in range(5000)]
    found = filled(*values)
    for percent in (1, 50, 95, 99):
        exact = sorted(values)[percent * len(values) // 100 - 1]
        assert found.quantile(percent / 100) == pytest.approx(exact, rel=0.001)
    assert found.mean == pytest.approx(statistics.fmean(values))


def test_a_gap_of_nothing_is_counted() -> None:
    found = filled(0.0, 0.0, 0.0, 1.0)
    assert (found.quantile(0.5), len(found)) == (0.0, 4)
    assert filled().quantile(0.5) is None


def test_what_was_before_can_be_taken_off_again() -> None:
    before, now = filled(1.0, 2.0), filled(1.0, 2.0)
    now.add([5.0])
    assert now.since(before).quantile(0.5) == pytest.approx(5.0, rel=0.001)
    assert len(now.since(before)) == 1


def test_a_good_answer_is_whole_and_meets_every_objective() -> None:
    slo = Slo(ttft=0.5, tpot=0.05)
    assert is_good(reply(0.4), slo)
    assert not is_good(reply(0.6), slo)
    assert not is_good(reply(0.4, tpot=0.06), slo)
    assert not is_good(reply(0.4, error="truncated"), slo)
    assert is_good(reply(9.0), Slo())


def test_a_broken_stream_keeps_its_ttft_and_has_no_tpot() -> None:
    found = summed([reply(0.4, error="truncated"), reply(0.4)], Slo())
    assert [len(found.seconds[kind]) for kind in ("TTFT", "TPOT", "answer")] == [2, 1, 1]
    assert found.outcomes == {"ok": 1, "truncated": 1}


def test_objectives_hold_at_their_quantile_and_say_what_broke() -> None:
    found = summed([reply(0.1)] * 96 + [reply(2.0)] * 4, Slo())
    assert judge(found, Slo(ttft=0.5), 0.95).holds
    (broken,) = judge(found, Slo(ttft=0.5), 0.99).broken
    assert "TTFT p99" in broken
    assert "500 ms" in broken


def test_availability_is_of_all_that_was_asked_and_nothing_is_no_success() -> None:
    found = summed([reply(0.1)] * 98 + [reply(0.1, error="503")] * 2, Slo())
    assert judge(found, Slo(availability=98), 0.95).holds
    assert not judge(found, Slo(availability=99), 0.95).holds
    assert not judge(Totals(), Slo(), 0.95).holds
