"""The overload's short form, against the real gateway as a process of its own, and its arithmetic."""

import asyncio

import pytest

from loadtests.overload import measure, served
from loadtests.overload_report import LEVEL, fair_shares
from services.gateway.registry import Priority


@pytest.mark.slow
def test_three_times_the_capacity_is_shed_from_below() -> None:
    with served() as made:
        at_capacity, over = asyncio.run(measure(made, seconds=6, longest=3))
    first, second, *last = Priority
    assert over.level(first) >= LEVEL * at_capacity.level(first)
    assert not over.refused(first)
    refused = [over.refused(priority) / len(over.of(priority)) for priority in (second, *last)]
    assert 0 < refused[0] < min(refused[1:])
    for one in over.sent:
        assert one.attempts[0].done is not None or (one.attempts[0].retry_after or 0) >= 1
    assert over.at_once()


def test_what_one_tenant_does_not_ask_for_goes_to_the_others() -> None:
    weights = {"a": 1, "b": 2, "c": 4}
    assert fair_shares(70, dict.fromkeys(weights, 100.0), weights) == pytest.approx({"a": 10, "b": 20, "c": 40})
    assert fair_shares(70, {"a": 100.0, "b": 100.0, "c": 10.0}, weights) == pytest.approx({"a": 20, "b": 40, "c": 10})
    assert fair_shares(70, dict.fromkeys(weights, 5.0), weights) == pytest.approx(dict.fromkeys(weights, 5.0))


def test_what_a_tenant_had_in_more_urgent_classes_counts_towards_its_share() -> None:
    weights = {"a": 1, "b": 2, "c": 4}
    asked = dict.fromkeys(weights, 100.0)
    assert fair_shares(10, asked, weights, had=dict.fromkeys(weights, 10.0)) == pytest.approx({"a": 0, "b": 0, "c": 10})
    assert fair_shares(25, asked, weights, had=dict.fromkeys(weights, 10.0)) == pytest.approx({"a": 0, "b": 5, "c": 20})
