"""`naru rollout` against a real Prometheus and a real gateway: what becomes of a canary."""

import pytest

from tests.rollout.world import Command, Gateway
from tests.support.prometheus import needs_prometheus

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]


def test_a_good_canary_is_promoted_through_its_steps(gateway: Gateway, started: dict[str, Command]) -> None:
    found = started["good"].wait()
    assert (found["outcome"], found["code"]) == ("promoted", 0), found["log"]
    assert [(step["share"], step["ruling"]) for step in found["steps"]] == [(20, "good"), (50, "good"), (100, "good")]
    assert gateway.weights("good") == found["weights"] == {"v1": 0, "v2": 100}
    assert gateway.registry.read_text().startswith("# by hand\n")


def test_a_canary_slower_than_its_objective_is_rolled_back(gateway: Gateway, started: dict[str, Command]) -> None:
    found = started["late"].wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert "first token later than 2 s" in found["reason"]
    assert gateway.weights("late") == {"v1": 100, "v2": 0}


def test_a_canary_that_fails_two_percent_is_rolled_back(gateway: Gateway, started: dict[str, Command]) -> None:
    found = started["failing"].wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert found["reason"].startswith("failed: ")
    assert "0.1 % allowed" in found["reason"]
    assert gateway.weights("failing") == {"v1": 100, "v2": 0}


def test_failures_that_another_version_covers_up_count(gateway: Gateway, started: dict[str, Command]) -> None:
    found = started["covered"].wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert found["reason"].startswith("failed: ")


def test_a_canary_that_refuses_what_the_others_answer_is_rolled_back(started: dict[str, Command]) -> None:
    found = started["refusing"].wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert found["reason"].startswith("refused by the engine: ")


def test_too_little_traffic_holds(gateway: Gateway, started: dict[str, Command]) -> None:
    found = started["quiet"].wait()
    assert (found["outcome"], found["code"]) == ("held", 4), found["log"]
    assert "too little to judge" in found["reason"]
    assert gateway.weights("quiet") == {"v1": 95, "v2": 5}
