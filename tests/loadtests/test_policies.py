"""The benchmark of the policies, in its shortest form: it lets everything in, and reads the gateway's own time."""

import pytest

from loadtests.configured import INTERPRETED
from loadtests.mock_engine import MockEngine, served
from loadtests.policies import ALL, BARE, ENVOY, FIGURE, VARIANTS, measure, serving, verdict
from loadtests.processes import Cores, pinned
from loadtests.results import Results
from tests.support.ports import free_ports


@pytest.mark.slow
def test_models_with_everything_configured_are_measured_beside_one_without() -> None:
    cores, engines = Cores.divided(), free_ports(1)
    engine = MockEngine(engines, 1, 0.0)
    with pinned(cores.load), served(engine) as held, serving(cores.target, engines, INTERPRETED) as made, held:
        least = min(measure(made, name, 0.3, engine.step) for name in VARIANTS)
        page = made.metrics()
    assert least > 10
    assert "rejected" not in page
    assert all(f'naru_requests_total{{model="{name}",operation="chat",outcome="ok"' in page for name in VARIANTS)
    assert f'naru_cache_requests_total{{model="{ALL}",result="bypass"}}' in page
    assert f'naru_cache_requests_total{{model="{BARE}"' not in page


@pytest.mark.parametrize(
    ("bare", "everything", "envoy", "passes"),
    [
        pytest.param(50, 58, None, True, id="the microseconds themselves, where there is no Envoy"),
        pytest.param(50, 58.1, None, False, id="and one tenth more"),
        pytest.param(50, 58, 36, True, id="the machine that they were set on"),
        pytest.param(50, 58.1, 36, False, id="and one tenth more there"),
        pytest.param(100, 115.9, 72, True, id="a machine half as fast"),
        pytest.param(100, 116.1, 72, False, id="and too much for it"),
        pytest.param(25, 29.1, 18, False, id="a machine twice as fast"),
    ],
)
def test_what_is_allowed_is_measured_by_what_a_request_costs_envoy(
    bare: float, everything: float, envoy: float | None, passes: bool
) -> None:
    costs = {BARE: bare, ALL: everything} | ({} if envoy is None else {ENVOY: envoy})
    results = Results(list(costs))
    for name, cost in costs.items():
        results.add(name, {FIGURE: cost})
    assert (verdict(results) is None) == passes
