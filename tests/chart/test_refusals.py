"""Values that can't work are refused before anything reaches a cluster, with a message that names them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.registry import Model
from tests.chart.rendering import Refused, named, render

CASES = yaml.safe_load(Path(__file__).with_name("refusals.yaml").read_text(encoding="utf-8"))


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(Refused) as refused:
        render(values)
    return str(refused.value)


@pytest.mark.parametrize("case", CASES["contradictions"], ids=lambda case: case.get("says", "fine")[:60])
def test_fields_that_contradict_each_other(case: dict[str, Any]) -> None:
    if "says" in case:
        assert case["says"] in refusal(case["values"])
    else:
        assert render(case["values"])


@pytest.mark.parametrize("case", CASES["shapes"], ids=lambda case: str(case["says"]))
def test_values_of_the_wrong_shape(case: dict[str, Any]) -> None:
    assert case["says"] in refusal(case["values"])


def test_everything_that_is_wrong_is_said_at_once() -> None:
    model = {**CASES["chat"], "gpus": 1, "hedge": True}
    said = refusal({"models": {"m": model}, "ingress": {"enabled": True}})
    assert all(part in said for part in ("m.versions.v1.nodePool", "m.versions.v1.source", "m.hedge", "ingress.host"))


@pytest.mark.parametrize("release", ["1naru", "naru.staging"])
def test_a_release_whose_name_is_no_services_is_told_what_to_give(release: str) -> None:
    values = {"models": {"m": CASES["chat"]}}
    with pytest.raises(Refused, match=f"fullnameOverride: {release}.* can't begin a Service's name"):
        render(values, name=release)
    assert render({**values, "fullnameOverride": "naru"}, name=release)


def test_whatever_the_registry_knows_can_be_said_of_a_model() -> None:
    everything: dict[str, Any] = {
        "role": {"criticality": "complementary", "trigger": "proactive", "adaptation": "dynamic"},
        "slo": {"ttft": "500ms", "tpot": 0.05, "percentile": 99, "availability": 99.9},
        "price": {"input": 0.1, "output": 0.2, "currency": "EUR"},
        "routing": {"weights": {"prefix": 0}, "spread": 2, "choices_above": 4, "prefix_blocks": 10},
        "timeouts": {"connect": "1s", "first_token": "30s", "idle": 20, "total": "10m"},
        "fallback": ["other"],
        "admission": {"per_endpoint": 16, "queue": 8, "patience": "10s", "overflow": True},
        "activation": {"timeout": "10m", "queue": 50},
        "cache": {"bytes": "128MiB", "ttl": "1h", "shared": True},
        "hedge": False,
    }
    assert {*everything, "task", "versions", "adapters"} == set(Model.model_fields)
    entry = {**CASES["gpu"], **everything, "adapters": {"l": "hf:a/l"}}
    manifests = render({**CASES["pool"], "models": {"m": entry, "other": CASES["chat"]}})
    registry = yaml.safe_load(named(manifests, "ConfigMap", "naru-registry")["data"]["registry.yaml"])
    versions = {"v1": {"service": "naru-m-v1", "port": "http"}}
    assert registry["models"]["m"] == {**everything, "task": "chat", "adapters": ["l"], "versions": versions}
