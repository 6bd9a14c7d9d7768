"""charts/naru/values.schema.json: from values.yaml's comments, and from the gateway's own registry and settings."""

import json
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from services.common.durations import Duration
from services.gateway.registry import Model, Registry, Size, Version
from services.gateway.settings import GatewaySection
from services.llm.settings import LlmSection
from services.recommendation.settings import RecommendationSection
from services.sentiment.settings import SentimentSection
from tests.chart.values import CHART, Value, read

Schema = dict[str, Any]

SCHEMA = CHART / "values.schema.json"

DURATION: Schema = {"type": ["string", "number"], "pattern": r"^\d+(\.\d+)?(ms|s|m|h)$", "exclusiveMinimum": 0}
SIZE: Schema = {"type": ["string", "integer"], "pattern": r"^\d+(KiB|MiB|GiB)$", "minimum": 1024}
_KUBERNETES = Path(__file__).with_name("kubernetes.yaml")

CHARTS_OWN = {
    "gateway": {
        "registry": None,
        "http": {"host", "port"},
        "grpc": {"enabled", "host", "port", "tls"},
        "admin": {"host", "port", "api_key"},
        "upstream": {"api_key"},
        "keys": None,
        "redis": {"url"},
        "drain": {"timeout"},
        "kubernetes": {"namespace", "zone"},
    },
    "llm": dict.fromkeys(("host", "port", "model", "served_name", "device", "drain_timeout", "lora")),
}
"""Settings that the chart computes, and nobody can say otherwise: whole fields (None), or some of a section."""


_NOISE = frozenset({"title", "default", "format", "gt", "ge"})


def _reader(kind: Any) -> Any:
    """The function that reads the words of an annotated type."""
    return get_args(kind)[1].func


class _Words(GenerateJsonSchema):
    """Durations and sizes may be words: pydantic's schema shows what they become."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        words = {_reader(Duration): DURATION, _reader(Size): SIZE}
        return words.get(schema["function"]["function"]) or super().function_before_schema(schema)


def of_model(
    kind: type[BaseModel], prefix: str, own: dict[str, set[str] | None] | None = None
) -> tuple[Schema, Schema]:
    """The schema of a pydantic model, without what the chart sets itself, and the definitions it refers to."""
    schema = kind.model_json_schema(ref_template=f"#/$defs/{prefix}.{{model}}", schema_generator=_Words)
    definitions = schema.pop("$defs", {})
    for field, inner in (own or {}).items():
        if inner is None:
            schema["properties"].pop(field, None)
        elif field in schema["properties"]:
            section = definitions[schema["properties"][field]["$ref"].rpartition(".")[2]]
            section["properties"] = {name: value for name, value in section["properties"].items() if name not in inner}
    schema.pop("required", None)
    named = {f"{prefix}.{name}": definition for name, definition in definitions.items()}
    used = _used(schema, named)
    return _plain(schema), {name: _plain(value) for name, value in named.items() if name in used}


def _used(schema: Any, definitions: Schema) -> set[str]:
    """Names of the definitions that a schema leads to."""
    found: set[str] = set()
    ahead = [schema]
    while ahead:
        node = ahead.pop()
        if isinstance(node, dict):
            name = str(node.get("$ref", "")).removeprefix("#/$defs/")
            if name in definitions and name not in found:
                found.add(name)
                ahead.append(definitions[name])
            ahead += node.values()
        elif isinstance(node, list):
            ahead += node
    return found


def _plain(schema: Any, *, named: bool = False) -> Any:
    """Without pydantic's titles, defaults and formats, which Helm has no use for.

    `named`: the keys are names of fields, not words of the schema.
    """
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if named or key not in _NOISE}
        return {key: _plain(value, named=not named and key == "properties") for key, value in kept.items()}
    return [_plain(each) for each in schema] if isinstance(schema, list) else schema


def of_value(value: Value) -> Schema:
    """A value's schema: what its comment says, over what its default shows."""
    said = {"description": value.meaning} if value.meaning else {}
    if "$ref" in value.schema:
        return {**said, **value.schema}
    if value.children:
        return {**said, **of_section(value.children)}
    if "enum" in value.schema or "type" in value.schema:
        return {**said, **value.schema}
    shown: Schema = {"type": _type(value.default)}
    if shown["type"] == "object":
        shown["additionalProperties"] = False
    return {**said, **shown, **value.schema}


def of_section(values: tuple[Value, ...]) -> Schema:
    properties = {value.path[-1]: of_value(value) for value in values}
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _type(default: Any) -> str:
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")):
        if isinstance(default, kind):
            return name
    assert isinstance(default, dict), f"a default of None needs a type: {default!r}"
    return "object"


def schema() -> Schema:
    """The whole of values.schema.json."""
    values = {value.path[0]: value for value in read()}
    serving, pool = (of_section(values[name].children) for name in ("defaults", "nodePoolDefaults"))
    definitions = {"serving": serving, "nodePool": {**pool, "type": ["object", "null"]}, **_models(serving)}
    definitions |= yaml.safe_load(_KUBERNETES.read_text(encoding="utf-8"))
    definitions |= _bento_settings()
    engine, inner = of_model(LlmSection, "llm", CHARTS_OWN["llm"])
    definitions |= {"engine": engine, **inner}
    settings, inner = of_model(GatewaySection, "gateway", CHARTS_OWN["gateway"])
    definitions |= {"gatewaySettings": settings, **inner}
    root = of_section(tuple(values.values()))
    root["properties"]["models"]["propertyNames"] = definitions["model"]["properties"]["versions"]["propertyNames"]
    root["properties"] |= {"defaults": {"$ref": "#/$defs/serving"}, "nodePoolDefaults": pool}
    # Helm gives every chart a `global`.
    root["properties"]["global"] = {"type": "object"}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _bento_settings() -> Schema:
    """What `settings` may say, of whichever of the project's services: which one it is, a version may say."""
    fields: dict[str, list[Schema]] = {}
    definitions: Schema = {}
    for kind in (SentimentSection, RecommendationSection):
        section, inner = of_model(kind, "bento", dict.fromkeys(("host", "port", "model", "version")))
        definitions |= inner
        for name, field in section["properties"].items():
            fields.setdefault(name, []).append(field)
    properties = {name: each[0] if each[0] == each[-1] else {"anyOf": each} for name, each in fields.items()}
    return {**definitions, "bentoSettings": {"type": "object", "additionalProperties": False, "properties": properties}}


def _models(serving: Schema) -> Schema:
    """A model's entry and a version's: what the chart runs and what the registry knows, side by side."""
    entry, inner = of_model(Model, "registry")
    version, of_version = of_model(Version, "registry")
    (name,) = Registry.model_json_schema()["properties"]["models"]["patternProperties"]
    names = {"pattern": name}
    own = {
        "runtime": {
            "enum": ["vllm", "bentoml", "external"], "description": "What runs it; `external`: nothing of the chart's.",
        },
        "versions": {"type": "object", "additionalProperties": {"$ref": "#/$defs/version"}, "propertyNames": names},
        "adapters": {
            "type": "object", "additionalProperties": {"type": "string"}, "propertyNames": names,
            "description": "LoRA adapters by their names: `hf:<organisation>/<name>` or a path under `/models`.",
        },
    }  # fmt: skip
    return {
        **inner,
        **of_version,
        "model": {
            "type": ["object", "null"], "additionalProperties": False, "required": ["task", "runtime", "versions"],
            "properties": {**serving["properties"], **entry["properties"], **own},
        },
        "version": {
            "type": ["object", "null"], "additionalProperties": False,
            "properties": {**serving["properties"], **version["properties"]},
        },
    }  # fmt: skip


def text() -> str:
    """The file, whole."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
