"""`naru` as people type it."""

import stat
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from services.gateway.registry import Task, load
from services.local import key, output, plan
from services.local.cli import app


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.delenv("NARU_API_KEY", raising=False)


@pytest.mark.parametrize("command", ["", "up", "down", "status", "models", "logs", "chat"])
def test_help(command: str) -> None:
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_without_a_stack_every_command_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_GATEWAY__HTTP__PORT", "9")
    for command in ("status", "models", "chat"):
        result = CliRunner().invoke(app, [command])
        assert result.exit_code == 1
        assert "naru up" in result.output
    assert "nothing is running" in CliRunner().invoke(app, ["down"]).output
    assert CliRunner().invoke(app, ["logs"]).exit_code == 1


def test_a_wrong_service_and_a_wrong_setting_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    result = CliRunner().invoke(app, ["up", "llmm"])
    assert result.exit_code == 2
    assert "llmm" in result.output
    monkeypatch.setenv("NARU_LLM__PROT", "1")
    result = CliRunner().invoke(app, ["models"])
    assert result.exit_code == 2
    assert "NARU_LLM__PROT" in result.output


def test_the_development_key_is_made_once_and_only_its_owner_reads_it(monkeypatch: pytest.MonkeyPatch) -> None:
    made = key.development_key()
    assert made.startswith("naru-")
    assert len(made) > 40
    assert key.development_key() == made
    assert stat.S_IMODE(key.path().stat().st_mode) == 0o600
    monkeypatch.setenv("NARU_API_KEY", "mine")
    assert key.development_key() == "mine"


@pytest.mark.parametrize(
    "services", [("gateway",), ("gateway", "sentiment"), ("gateway", "sentiment", "recommendation", "llm")]
)
def test_the_registry_is_one_the_gateway_takes(services: tuple[str, ...], tmp_path: Path) -> None:
    made = plan.make(plan.addresses(), services, "key", tmp_path)
    registry = load(tmp_path / "registry.yaml")
    wanted = (
        {"sentiment"}
        if services == ("gateway", "sentiment")
        else {"smollm2-135m-instruct", "sentiment", "recommendation"}
    )
    assert set(registry.models) == wanted == set(made.models)
    assert registry.default(Task.SENTIMENT) == "sentiment"
    assert [service.name for service in made.services] == list(services)
    assert "key" not in yaml.safe_dump(yaml.safe_load((tmp_path / "registry.yaml").read_text()))


def test_the_welcome_has_a_request_per_surface(tmp_path: Path) -> None:
    made = plan.make(plan.addresses(), ("gateway", "llm", "sentiment", "recommendation"), "k", tmp_path)
    text = output.welcome(made, "naru-key")
    for part in ("/v1/chat/completions", "/v1/sentiment", "/v1/recommendations", "naru-key", "curl -N"):
        assert part in text
