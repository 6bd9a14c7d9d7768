"""The benchmark of the policies, in its shortest form: it lets everything in, and reads the gateway's own time."""

import pytest

from loadtests.configured import INTERPRETED
from loadtests.mock_engine import MockEngine, served
from loadtests.policies import ALL, BARE, VARIANTS, measure, serving
from loadtests.processes import Cores, pinned
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
