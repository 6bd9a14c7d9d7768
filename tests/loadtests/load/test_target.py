"""What can't begin says why."""

from argparse import Namespace
from pathlib import Path

import pytest

from loadtests.load.client import Client
from loadtests.load.target import BenchError, models, slos
from loadtests.processes import gateway, mock_engine
from loadtests.wire import KEY
from services.gateway.registry import Task


def test_the_models_are_the_ones_the_gateway_has() -> None:
    with mock_engine(1, 0.01, 1) as made, gateway(made.ports, slo={"ttft": "5s"}) as found:
        assert models(found.gateway, KEY) == {Task.CHAT: "mock"}
        assert slos(Namespace(registry=found.registry))["mock"].ttft == 5.0
        with pytest.raises(BenchError, match="give a key that is good"):
            models(found.gateway, "sk-wrong")


def test_what_is_no_gateway_is_named() -> None:
    with pytest.raises(BenchError, match=r"no gateway answers at http://127\.0\.0\.1:9"):
        models("http://127.0.0.1:9", KEY)
    for url in ("https://example.test", "127.0.0.1:8080"):
        with pytest.raises(ValueError, match="http://host:port"):
            Client(url, KEY, 1.0)


def test_without_a_registry_nothing_is_promised() -> None:
    assert slos(Namespace(registry=None)) == {}
    with pytest.raises(ValueError, match="none"):
        slos(Namespace(registry=Path("/none.yaml")))
