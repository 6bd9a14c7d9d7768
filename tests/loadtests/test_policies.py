"""The benchmark of the policies, in its shortest form: it lets everything in, and reads the gateway's own time."""

import pytest

from loadtests.mock_engine import MockEngine, served
from loadtests.policies import ALL, BARE, FIGURE, measure, serving
from loadtests.processes import Cores, pinned
from loadtests.results import Results
from tests.support.ports import free_ports


@pytest.mark.slow
def test_the_gateway_with_everything_configured_is_measured_beside_the_one_without() -> None:
    cores, engines = Cores.divided(), free_ports(1)
    engine, results = MockEngine(engines, 1, 0.0), Results([BARE, ALL])
    with pinned(cores.load), served(engine) as held, serving(cores.target, engines, [BARE, ALL]) as made, held:
        for name, one in made.items():
            results.add(name, {FIGURE: measure(one, 0.3, engine.step)})
        page = made[ALL].metrics()
    assert min(results.spread(name, FIGURE).low for name in made) > 10
    assert "rejected" not in page
    assert 'naru_cache_requests_total{model="mock",result="bypass"}' in page
