"""What surrounds a rollout goes wrong: a gateway that does not reload, a Prometheus that hangs."""

from collections.abc import Iterator

import pytest
import yaml

from tests.rollout.conftest import begin
from tests.rollout.prometheus import Prometheus
from tests.rollout.world import Gateway, Loop, model, start_gateway, until
from tests.support.prometheus import BINARY, needs_prometheus

pytestmark = [needs_prometheus, pytest.mark.timeout(300)]
NEVER = 3600.0
STEPS = ("--steps", "20,100", "--bake", "60s")


@pytest.fixture(scope="module")
def gateways(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Gateway]]:
    """Two on one registry, of which the second one does not look whether it has changed."""
    registry = tmp_path_factory.mktemp("gateways") / "registry.yaml"
    engine = loop.engine()
    registry.write_text(yaml.safe_dump({"models": {"m": model(engine, engine)}}, sort_keys=False), encoding="utf-8")
    made = start_gateway(registry), start_gateway(registry, poll=NEVER)
    yield made
    for gateway in made:
        gateway.stop()


@pytest.fixture(scope="module")
def own(gateways: tuple[Gateway, Gateway], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that these tests may break."""
    if BINARY is None:
        pytest.skip("there is no prometheus: apt-get install prometheus")
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), [gateway.target for gateway in gateways])
    made.until('count(naru_version_weight{version="v2"}) == 2')
    yield made
    made.stop()


def told(gateway: Gateway, url: str) -> list[str]:
    return ["--registry", str(gateway.registry), "--prometheus", url, "--output", "json"]


def test_a_gateway_that_does_not_take_the_weights_over_ends_it_by_name(
    gateways: tuple[Gateway, Gateway], own: Prometheus
) -> None:
    first, second = gateways
    found = begin("m", told(first, own.url), *STEPS, "--settle", "6s").wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert "1 of 2 gateways have not taken the weights over" in found["reason"]
    assert f"instance={second.target}" in found["reason"]
    assert first.weights("m") == {"v1": 100, "v2": 0}


def test_a_prometheus_that_hangs_takes_the_canary_back(gateways: tuple[Gateway, Gateway], own: Prometheus) -> None:
    first, _ = gateways
    only = ("--match", f"instance={first.target}")
    running = begin("m", told(first, own.url), *STEPS, *only, "--blind", "3s", "--settle", "20s")
    until(lambda: first.weights("m") == {"v1": 80, "v2": 20})
    own.pause()
    found = running.wait()
    assert (found["outcome"], found["code"]) == ("rolled_back", 3), found["log"]
    assert found["reason"].startswith(f"nobody can watch the canary: Prometheus at {own.url} does not answer")
    assert first.weights("m") == {"v1": 100, "v2": 0}
