"""The base of every service's settings: frozen, nested, read once from `NARU_*` variables.

A variable is spelled `NARU_<SECTION>__<FIELD>`, for example `NARU_GATEWAY__HTTP__PORT=8080`. Every knob lives in a
section because only there a misspelled name is refused instead of ignored.
"""

from pydantic import BaseModel, ConfigDict
from pydantic_settings import BaseSettings, SettingsConfigDict


class Section(BaseModel):
    """A group of settings that belong together; an unknown name in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ServiceSettings(BaseSettings):
    """A service's whole configuration: its fields are sections, never single knobs."""

    model_config = SettingsConfigDict(
        env_prefix="NARU_",
        env_nested_delimiter="__",
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


def describe_variables(settings: type[BaseModel], prefix: str = "NARU") -> str:
    """Every variable of a settings class with its default and its meaning: the end of a `--help`."""
    lines = []
    for name, field in settings.model_fields.items():
        variable = f"{prefix}__{name}" if prefix != "NARU" else f"NARU_{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            lines.append(describe_variables(field.annotation, variable))
        else:
            default = "required" if field.is_required() else f"default {field.get_default(call_default_factory=True)}"
            lines.append(f"  {variable.upper()}  ({default})")
            lines += [f"      {field.description}"] if field.description else []
    return "\n".join(lines)
