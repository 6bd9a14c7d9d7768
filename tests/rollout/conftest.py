"""One gateway with a model for each scenario, one Prometheus, and all rollouts at once: what one of them writes into
the registry, the others must leave alone."""

from collections.abc import Iterator

import pytest
import yaml

from tests.rollout.prometheus import Prometheus
from tests.rollout.world import Command, Gateway, Loop, failing, late, model, naru, start_gateway, traffic
from tests.support.prometheus import BINARY

QUICK = ("--interval", "1s", "--bake", "1s", "--patience", "90s", "--settle", "20s", "--output", "json")
"""Looks every second, and decides as soon as the numbers do."""


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture(scope="session")
def gateway(loop: Loop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Seven models, each with a version that is well and a canary; and traffic for each of them."""
    well = loop.engine()
    models = {
        "good": model(well, loop.engine()),
        "late": model(well, loop.engine(late)),
        "failing": model(well, loop.engine(failing(500, one_in=50))),
        "covered": model(well, loop.engine(failing(503, one_in=50))),
        "refusing": model(well, loop.engine(failing(400, one_in=20))),
        "quiet": model(well, loop.engine()),
        "killed": model(well, loop.engine()),
        "edited": model(well, loop.engine()),
    }
    registry = tmp_path_factory.mktemp("gateway") / "registry.yaml"
    registry.write_text("# by hand\n" + yaml.safe_dump({"models": models}, sort_keys=False), encoding="utf-8")
    made = start_gateway(registry)
    for name in models:
        loop.begin(traffic(made, name, 1 if name == "quiet" else 30, pause=0.5))
    yield made
    made.stop()


@pytest.fixture(scope="session")
def prometheus(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if BINARY is None:
        pytest.skip("there is no prometheus: apt-get install prometheus")
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), [gateway.target])
    made.until('naru_requests_total{model="good"} > 50')
    yield made
    made.stop()


@pytest.fixture(scope="session")
def started(gateway: Gateway, prometheus: Prometheus) -> Iterator[dict[str, Command]]:
    """The rollouts that go their way, by model."""
    common = ("--canary", "v2", "--registry", str(gateway.registry), "--prometheus", prometheus.url, *QUICK)
    made = {
        "good": naru("start", "good", *common, "--steps", "20,50,100", "--margin", "2"),
        "late": naru("start", "late", *common, "--steps", "50,100"),
        "failing": naru("start", "failing", *common, "--steps", "50,100"),
        "covered": naru("start", "covered", *common, "--steps", "50,100"),
        "refusing": naru("start", "refusing", *common, "--steps", "50,100"),
        "quiet": naru("start", "quiet", *common[:-8], *QUICK[:4], "--patience", "3s", *QUICK[6:], "--steps", "5,100"),
    }
    yield made
    for command in made.values():
        command.process.kill()
        command.process.wait()
