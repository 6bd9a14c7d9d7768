"""Random values: right ones render objects that servers and the gateway take; a wrong one is refused by its name."""

import functools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from services.gateway import registry
from tests.chart.api import faults
from tests.chart.pod_security import violations
from tests.chart.rendering import Manifest, Refused, merged, pods, render
from tests.chart.schema import schema
from tests.chart.strategies import VALUES

EXAMPLES = settings(max_examples=40, suppress_health_check=list(HealthCheck))
RIGHT: dict[str, Any] = {"models": {"m": {"task": "chat", "runtime": "vllm", "versions": {"v1": {}}}}}
OPEN = {"matchExpressions", "ports", "global"}
"""Fields that take what Kubernetes takes."""


def rendered(values: dict[str, Any], release: str) -> list[Manifest]:
    try:
        return render(values, name=release)
    except Refused as refused:
        assume("its objects would have the name of" not in str(refused))  # two random names can become one object's
        raise


@EXAMPLES
@given(VALUES, st.from_regex(r"[a-z]([-a-z0-9]{0,50}[a-z0-9])?", fullmatch=True))
def test_right_values_render_what_servers_take(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any], release: str
) -> None:
    manifests = rendered(values, release)
    assert [fault for each in manifests for fault in faults(each)] == []
    assert [fault for _, pod in pods(manifests) for fault in violations(pod)] == []
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests]
    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for _, _, name in names)
    _the_gateway_reads(manifests, tmp_path_factory.getbasetemp() / "registry.yaml")


def _the_gateway_reads(manifests: list[Manifest], path: Path) -> None:
    (text,) = (each["data"]["registry.yaml"] for each in manifests if "registry.yaml" in each.get("data", {}))
    path.write_text(text, encoding="utf-8")
    registry.load(path)


@functools.cache
def leaves() -> list[tuple[tuple[str, ...], dict[str, Any]]]:
    """The path of each field that holds no further named ones, with its schema."""
    whole = schema()

    def walk(node: dict[str, Any], path: tuple[str, ...]) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
        node = whole["$defs"][node["$ref"].removeprefix("#/$defs/")] if "$ref" in node else node
        if "properties" in node:
            return [leaf for name, child in node["properties"].items() for leaf in walk(child, (*path, name))]
        return [(path, node)] if "type" in node or "enum" in node else []

    return [leaf for leaf in walk(whole, ()) if not OPEN & set(leaf[0])]


def under(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Values in which a path has this value, beside what is right."""
    for key in reversed(path):
        value = {key: value}
    return merged(RIGHT, value)


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refused:
        render(values)
    return str(refused.value)


@settings(EXAMPLES, max_examples=60)
@given(st.data())
def test_a_value_of_the_wrong_type_is_refused_by_its_name(data: st.DataObject) -> None:
    path, node = data.draw(st.sampled_from(leaves()))
    wrong = "text" if "object" in str(node.get("type")) else {"not": ["what", "is", "wanted"]}
    assert path[-1] in refusal(under(path, wrong))


@settings(EXAMPLES, max_examples=40)
@given(st.data())
def test_a_misspelled_field_is_refused_by_its_name(data: st.DataObject) -> None:
    path, _ = data.draw(st.sampled_from(leaves()))
    misspelled = f"{path[-1]}x"
    assert misspelled in refusal(under((*path[:-1], misspelled), 1))
