"""One gateway with a model for each scenario, one Prometheus, and all rollouts at once: what one of them writes into
the registry, the others must leave alone."""

from collections.abc import Iterator

import pytest
import yaml

from tests.rollout.prometheus import Prometheus
from tests.rollout.world import Classifier, Command, Gateway, Loop, failing, late, model, naru, start_gateway, traffic
from tests.support.engine import Engine
from tests.support.prometheus import BINARY


@pytest.fixture(scope="package")
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


@pytest.fixture(scope="package")
def classifiers() -> tuple[Classifier, Classifier]:
    """The two versions of the model `feelings`."""
    return Classifier(), Classifier()


@pytest.fixture(scope="package")
def leaving(loop: Loop) -> Engine:
    """The canary of the model `leaving`."""
    return loop.engine()


@pytest.fixture(scope="package")
def gateway(
    loop: Loop, classifiers: tuple[Classifier, Classifier], leaving: Engine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Models that each have a version that is well and a canary, and traffic for them."""
    well = loop.engine()
    old, new = map(loop.engine, classifiers)
    models = {
        "good": model(well, loop.engine()),
        "late": model(well, loop.engine(late)),
        "failing": model(well, loop.engine(failing(500, one_in=50))),
        "covered": model(well, loop.engine(failing(503, one_in=10))),
        "refusing": model(well, loop.engine(failing(400, one_in=5))),
        "quiet": model(well, loop.engine()),
        "killed": model(well, loop.engine()),
        "stopped": model(well, loop.engine()),
        "edited": model(well, loop.engine()),
        "leaving": model(well, leaving),
        "feelings": model(old, new, task="sentiment"),
    }
    registry = tmp_path_factory.mktemp("gateway") / "registry.yaml"
    registry.write_text("# by hand\n" + yaml.safe_dump({"models": models}, sort_keys=False), encoding="utf-8")
    made = start_gateway(registry)
    for name in models.keys() - {"feelings"}:
        clients = {"quiet": 1, "failing": 40}.get(name, 15)
        loop.begin(traffic(made, name, clients, pause=0.5))
    yield made
    made.stop()


@pytest.fixture(scope="package")
def prometheus(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    if BINARY is None:
        pytest.skip("there is no prometheus: apt-get install prometheus")
    made = Prometheus(tmp_path_factory.mktemp("prometheus"), [gateway.target])
    made.until('naru_requests_total{model="good"} > 50')
    yield made
    made.stop()


@pytest.fixture(scope="package")
def common(gateway: Gateway, prometheus: Prometheus) -> list[str]:
    """What every command is told."""
    return ["--registry", str(gateway.registry), "--prometheus", prometheus.url, "--output", "json"]


@pytest.fixture(scope="package")
def started(common: list[str]) -> Iterator[dict[str, Command]]:
    """The rollouts that go their way by themselves, by model."""
    wanted = {
        "good": ("--steps", "20,50,100", "--margin", "5"),
        "late": ("--steps", "50,100"),
        "failing": ("--steps", "50,100"),
        "covered": ("--steps", "50,100"),
        "refusing": ("--steps", "50,100"),
        "quiet": ("--steps", "5,100", "--patience", "3s"),
    }
    made = {name: begin(name, common, *options) for name, options in wanted.items()}
    yield made
    for command in made.values():
        command.kill()


def begin(name: str, common: list[str], *options: str) -> Command:
    """Looks every second, and decides as soon as the numbers do."""
    quick = ("--canary", "v2", "--interval", "1s", "--bake", "1s")
    patient = ("--patience", "4m", "--settle", "2m", "--blind", "2m")  # a busy machine is slow, and no fault
    return naru("start", name, *common, *quick, *patient, *options)
