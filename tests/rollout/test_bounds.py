"""The bounds that decide, held against scipy's distributions and against chance itself."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.rollout.bounds import Interval, as_many, enough, exact
from services.rollout.quality import compare
from services.rollout.verdict import Ruling

COUNTS = st.integers(1, 2000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@settings(max_examples=50)
@given(COUNTS, st.floats(0.5, 0.999))
def test_exact_bounds_are_those_of_the_beta_distribution(counts: tuple[int, int], confidence: float) -> None:
    count, of = counts
    found = exact(count, of, confidence)
    low = stats.beta.ppf(1 - confidence, count, of - count + 1) if count else 0.0
    high = stats.beta.ppf(confidence, count + 1, of - count) if count < of else 1.0
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-6)


@settings(max_examples=50)
@given(COUNTS, st.floats(0, 1))
def test_the_tail_is_that_of_the_binomial_distribution(counts: tuple[int, int], share: float) -> None:
    count, of = counts
    assert as_many(count, of, share) == pytest.approx(stats.binom.sf(count - 1, of, share), abs=1e-6)


@settings(max_examples=50)
@given(COUNTS)
def test_bounds_for_every_look_are_wider_than_for_one_and_hold_what_was_seen(counts: tuple[int, int]) -> None:
    count, of = counts
    always, once = Interval.at_any_time(count, of, 0.95), exact(count, of, 0.95)
    assert 0 <= always.low <= once.low + 1e-9
    assert once.high - 1e-9 <= always.high <= 1
    assert always.low <= count / of <= always.high


@pytest.mark.parametrize("share", [0.001, 0.02, 0.1])
def test_the_true_share_is_outside_at_any_look_as_seldom_as_promised(share: float) -> None:
    """Looked at after every request: a bound that is made for one look would be wrong far more often."""
    draw, wrong, repeats = random.Random(7), 0, 100
    for _ in range(repeats):
        count, missed = 0, False
        for of in range(1, 401):
            failed = draw.random() < share
            count += failed
            # Only a failure raises the lower bound.
            if failed and Interval.at_any_time(count, of, 0.95).low > share:
                missed = True
        wrong += missed
    assert wrong / repeats <= 0.05


def test_without_a_fault_the_bound_falls_as_one_over_the_number() -> None:
    assert Interval.at_any_time(0, 0, 0.95) == Interval(0.0, 1.0)
    needed = [enough(0.0, limit, 0.95) for limit in (0.2, 0.04, 0.01)]
    assert needed == [15, 91, 432]
    assert enough(0.02, 0.01, 0.95) is None
    assert enough(0.005, 0.01, 0.95) is not None


class TestQuality:
    def test_a_version_that_loses_what_the_other_had_is_worse(self) -> None:
        was, now = [True] * 90 + [False] * 10, [True] * 75 + [False] * 25
        found = compare(was, now, 0.03, 0.95)
        assert found.ruling is Ruling.BAD
        assert "75.0%" in found.words
        assert "15 lost, 0 won" in found.words

    def test_as_many_lost_as_won_tells_nothing_against_it(self) -> None:
        was = [True] * 450 + [False] * 50
        now = [False] * 4 + [True] * 450 + [False] * 46
        assert compare(was, now, 0.03, 0.95).ruling is Ruling.GOOD

    def test_few_probes_show_little(self) -> None:
        assert compare([True] * 120, [True] * 120, 0.03, 0.95).ruling is Ruling.UNDECIDED
        assert compare([True] * 122, [True] * 122, 0.03, 0.95).ruling is Ruling.GOOD
