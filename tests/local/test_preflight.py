"""What would stop the stack is said beforehand, with the remedy."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from services.gateway.settings import AdminSettings, GrpcSettings, HttpSettings
from services.llm.settings import LlmSection
from services.local import preflight
from services.recommendation.settings import RecommendationSection
from services.sentiment.settings import SentimentSection

THIRD_PARTY = ("pydantic", "yaml", "typer", "httpx", "psutil")


def test_the_ports_are_those_of_the_services_settings() -> None:
    defaults = {variable: port for ports in preflight.PORTS.values() for variable, port in ports}
    assert defaults == {
        "NARU_GATEWAY__HTTP__PORT": HttpSettings().port,
        "NARU_GATEWAY__GRPC__PORT": GrpcSettings().port,
        "NARU_GATEWAY__ADMIN__PORT": AdminSettings().port,
        "NARU_LLM__PORT": LlmSection().port,
        "NARU_SENTIMENT__PORT": SentimentSection().port,
        "NARU_RECOMMENDATION__PORT": RecommendationSection().port,
    }


def test_a_taken_port_is_named_with_the_variable_that_moves_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv("NARU_SENTIMENT__PORT", str(port))
        [problem] = preflight.taken_ports(["sentiment"])
    assert str(port) in problem
    assert "NARU_SENTIMENT__PORT" in problem
    assert list(preflight.taken_ports(["sentiment"])) == []


def test_a_port_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_LLM__PORT", "eighty")
    [problem] = preflight.taken_ports(["llm"])
    assert "NARU_LLM__PORT" in problem


def test_too_little_memory_is_said_with_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "available_memory", lambda: 1.0 * preflight.GIB)
    [problem] = preflight.too_little_memory(["gateway", "llm"])
    assert "3.9 GiB" in problem
    assert "1.0 GiB" in problem
    assert not list(preflight.too_little_memory(["gateway"]))


def test_an_unknown_service_is_refused() -> None:
    assert preflight.chosen(["llm", "gateway"]) == ("gateway", "llm")
    assert preflight.chosen([]) == preflight.SERVICES
    with pytest.raises(ValueError, match="llmm"):
        preflight.chosen(["llmm"])


def test_it_runs_on_the_standard_library_alone() -> None:
    root = Path(__file__).parents[2]
    for module in ("preflight", "install"):
        code = f"import sys, services.local.{module}; print([n for n in sys.modules if n in {THIRD_PARTY!r}])"
        found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
        assert found.stdout.strip() == "[]"
