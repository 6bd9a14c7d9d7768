"""A rollout that does not come to its end, and what is left of it."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from services.rollout.targets.yaml_weights import with_weights
from tests.rollout.conftest import begin
from tests.rollout.world import Command, Gateway, naru, until
from tests.support.engine import Engine
from tests.support.prometheus import needs_prometheus

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]
EASY = ("--steps", "20,100", "--margin", "20")


@pytest.fixture(scope="module")
def running(common: list[str], started: dict[str, Command]) -> Iterator[dict[str, Command]]:
    """Rollouts that stay in their first step, by model; `started` go their way beside them."""
    made = {name: begin(name, common, *EASY, "--bake", "3m") for name in ("killed", "stopped", "edited", "leaving")}
    yield made
    for command in made.values():
        command.kill()


def said(gateway: Gateway, name: str) -> dict[str, Any]:
    found: dict[str, Any] = naru("status", name, "--registry", str(gateway.registry), "--output", "json").wait()
    return found


def test_killed_half_way_it_leaves_the_old_version_serving_and_can_be_resumed(
    gateway: Gateway, common: list[str], running: dict[str, Command]
) -> None:
    until(lambda: gateway.weights("killed") == {"v1": 80, "v2": 20})
    second = begin("killed", common, *EASY).wait()
    assert (second["code"], "another process drives" in second["log"]) == (2, True)

    running["killed"].kill()
    assert gateway.weights("killed") == {"v1": 80, "v2": 20}
    found = said(gateway, "killed")
    assert (found["phase"], found["as_expected"], found["before"]) == ("running", True, {"v1": 100, "v2": 0})
    again = begin("killed", common, *EASY).wait()
    assert (again["code"], "'naru rollout resume' goes on with it" in again["log"]) == (2, True)

    kept = gateway.registry.with_name("registry.yaml.rollouts.json")
    progress = json.loads(kept.read_text())
    progress["killed"]["plan"]["bake"] = [1.0]  # a minute is long for a test
    kept.write_text(json.dumps(progress))
    found = naru("resume", "killed", *common).wait()
    assert (found["outcome"], found["code"]) == ("promoted", 0), found["log"]
    assert [step["share"] for step in found["steps"]] == [20, 100]
    assert naru("rollback", "killed", "--unfinished", *common).wait()["weights"] == {"v1": 0, "v2": 100}
    found = naru("rollback", "killed", *common).wait()
    assert (found["code"], gateway.weights("killed")) == (0, {"v1": 100, "v2": 0}), found["log"]


def test_a_signal_takes_the_canary_back(gateway: Gateway, common: list[str], running: dict[str, Command]) -> None:
    until(lambda: gateway.weights("stopped") == {"v1": 80, "v2": 20})
    running["stopped"].process.send_signal(signal.SIGTERM)
    found = running["stopped"].wait()
    assert (found["outcome"], found["code"]) == ("interrupted", 130), found["log"]
    assert found["reason"].startswith("interrupted by SIGTERM")
    assert gateway.weights("stopped") == {"v1": 100, "v2": 0}


def test_weights_that_somebody_else_changed_are_left_alone(
    gateway: Gateway, common: list[str], running: dict[str, Command]
) -> None:
    until(lambda: gateway.weights("edited") == {"v1": 80, "v2": 20})
    gateway.registry.write_text(with_weights(gateway.registry.read_text(), "edited", {"v1": 60}))
    found = running["edited"].wait()
    assert (found["outcome"], found["code"]) == ("taken_over", 5), found["log"]
    assert gateway.weights("edited") == {"v1": 60, "v2": 20}


def test_a_canary_whose_last_endpoint_leaves_is_rolled_back(
    gateway: Gateway, common: list[str], running: dict[str, Command], leaving: Engine
) -> None:
    until(lambda: gateway.weights("leaving") == {"v1": 80, "v2": 20})
    leaving.healthy = False
    found = running["leaving"].wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert found["reason"] == "v2 has no healthy endpoint on any of 1 gateway"

    refused = begin("leaving", common, *EASY, "--settle", "1s").wait()
    assert (refused["code"], "no healthy endpoint" in refused["log"]) == (2, True)
    assert gateway.weights("leaving") == {"v1": 100, "v2": 0}
