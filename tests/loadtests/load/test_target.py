"""What can't begin says why."""

from argparse import ArgumentTypeError, Namespace
from pathlib import Path

import pytest

from loadtests.load.client import Client
from loadtests.load.options import duration
from loadtests.load.target import BenchError, models, slos
from loadtests.processes import gateway, mock_engine
from loadtests.wire import KEY
from services.gateway.registry import Slo, Task


def test_the_models_are_the_ones_the_gateway_has() -> None:
    with mock_engine(1, 0.01, 1) as made, gateway(made.ports, slo={"ttft": "5s"}) as found:
        assert models(found.gateway, KEY) == {Task.CHAT: "mock"}
        assert slos(Namespace(registry=found.registry, ttft=None, tpot=None), "mock")["mock"].ttft == 5.0
        slo = slos(Namespace(registry=found.registry, ttft=None, tpot=0.25), "mock")["mock"]
        assert (slo.ttft, slo.tpot) == (5.0, 0.25)
        with pytest.raises(BenchError, match="give a key that is good"):
            models(found.gateway, "sk-wrong")


def test_what_is_no_gateway_is_named() -> None:
    with pytest.raises(BenchError, match=r"no gateway answers at http://127\.0\.0\.1:9"):
        models("http://127.0.0.1:9", KEY)
    for url in ("https://example.test", "127.0.0.1:8080"):
        with pytest.raises(ValueError, match="http://host:port"):
            Client(url, KEY, 1.0)


def test_without_a_registry_nothing_is_promised_but_what_is_told() -> None:
    assert slos(Namespace(registry=None, ttft=None, tpot=None), "mock") == {}
    assert slos(Namespace(registry=None, ttft=2.0, tpot=None), "mock") == {"mock": Slo(ttft=2.0)}
    assert slos(Namespace(registry=None, ttft=2.0, tpot=None), None) == {}
    with pytest.raises(ValueError, match="none"):
        slos(Namespace(registry=Path("/none.yaml"), ttft=None, tpot=None), "mock")


def test_an_objective_is_a_duration() -> None:
    assert duration("250ms") == 0.25
    for text in ("2", "0s", "-1s", "soon"):
        with pytest.raises(ArgumentTypeError, match="such as 500ms"):
            duration(text)
