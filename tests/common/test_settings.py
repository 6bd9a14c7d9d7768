"""Settings are read from the environment; a misspelled one is refused."""

import pytest
from pydantic import Field, ValidationError

from services.common.settings import Section, ServiceSettings, describe_variables


class Engine(Section):
    port: int = Field(default=1, ge=1)
    """Where it listens."""


class Settings(ServiceSettings):
    engine: Engine = Engine()


def test_a_variable_sets_a_field_and_a_wrong_name_or_value_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_ENGINE__PORT", "7")
    assert Settings().engine.port == 7
    monkeypatch.setenv("NARU_ENGINE__PORT", "none")
    with pytest.raises(ValidationError, match="port"):
        Settings()
    monkeypatch.setenv("NARU_ENGINE__PROT", "7")
    with pytest.raises(ValidationError, match="prot"):
        Settings()


def test_help_names_every_variable() -> None:
    assert describe_variables(Settings) == "  NARU_ENGINE__PORT  (default 1)\n      Where it listens."
