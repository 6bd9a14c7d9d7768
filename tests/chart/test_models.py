"""What becomes of an entry in `models:`: how it is placed, updated, loaded and scaled."""

import shutil
from pathlib import Path
from typing import Any

import helm_python
import pytest
import yaml

from tests.chart.rendering import Manifest, containers, merged, named, of_kind, pods, render, rendered, values
from tests.chart.values import CHART

CHAT: dict[str, Any] = {"task": "chat", "runtime": "vllm", "versions": {"v1": {}}}
GPU: dict[str, Any] = {**CHAT, "source": "hf:a/b", "gpus": 1, "nodePool": "g"}


def one(model: dict[str, Any], pool: dict[str, Any] | None = None, **more: Any) -> list[Manifest]:
    return render(merged({"nodePools": {"g": pool or {}}, "models": {"m": model}}, more))


def deployment(manifests: list[Manifest], name: str = "naru-m-v1") -> Manifest:
    spec: Manifest = named(manifests, "Deployment", name)["spec"]
    return spec


def entry(manifests: list[Manifest]) -> dict[str, Any]:
    """The model as the gateway's registry has it."""
    text = named(manifests, "ConfigMap", "naru-registry")["data"]["registry.yaml"]
    model: dict[str, Any] = yaml.safe_load(text)["models"]["m"]
    return model


def rollout(manifests: list[Manifest]) -> tuple[int, int]:
    update = deployment(manifests)["strategy"]["rollingUpdate"]
    return update["maxSurge"], update["maxUnavailable"]


def test_a_gpu_model_is_replaced_in_place_while_the_gateway_holds_its_requests() -> None:
    manifests = one(GPU)
    assert rollout(manifests) == (0, 1)
    assert entry(manifests)["activation"] == {"timeout": "600s"}  # twice what it usually loads


@pytest.mark.parametrize(
    ("model", "pool"),
    [(GPU, {"spareGpus": 1}), (CHAT, {}), ({**GPU, "update": {"strategy": "surge"}}, {})],
    ids=["spare GPUs", "no GPU", "as asked"],
)
def test_with_room_the_new_pod_comes_first(model: dict[str, Any], pool: dict[str, Any]) -> None:
    manifests = one(model, pool)
    assert rollout(manifests) == (1, 0)
    assert "activation" not in entry(manifests)


def test_spare_gpus_must_suffice() -> None:
    assert rollout(one({**GPU, "gpus": 2}, {"spareGpus": 1})) == (0, 1)


def test_requests_of_a_model_at_zero_are_held() -> None:
    scaled = {**CHAT, "autoscaling": {"kind": "keda", "min": 0}, "loading": {"usual": 45}}
    manifests = one(scaled, prometheus={"address": "http://p:9090"})
    assert entry(manifests)["activation"] == {"timeout": "90s"}
    assert "replicas" not in deployment(manifests)
    scaler = named(manifests, "ScaledObject")["spec"]
    assert scaler["minReplicaCount"] == 0
    assert scaler["cooldownPeriod"] == scaler["initialCooldownPeriod"] == 900
    assert scaler["fallback"]["replicas"] == 1  # a Prometheus that is away stops nothing


def test_a_model_may_load_until_its_deadline_and_no_shorter() -> None:
    (container,) = containers(deployment(one({**CHAT, "loading": {"deadline": 1001}}))["template"])
    probe = container["startupProbe"]
    assert 1001 <= probe["failureThreshold"] * probe["periodSeconds"] < 1010
    assert probe["httpGet"] == {"path": "/health", "port": "http"}
    assert "initialDelaySeconds" not in str(container)


def test_versions_are_deployments_with_shares() -> None:
    manifests = rendered(CHART / "ci" / "canary-values.yaml")
    found = {each["metadata"]["name"]: each["spec"]["replicas"] for each in of_kind(manifests, "Deployment")}
    assert found == {"naru-gateway": 2, "naru-support-v1": 2, "naru-support-v2": 1, "naru-support-v3": 1}


def test_a_step_of_a_canary_restarts_nothing() -> None:
    """Weights are the registry's alone: the gateway reads it again, and no pod template changes."""
    before = one({**CHAT, "versions": {"v1": {"weight": 90}, "v2": {"weight": 10}}})
    after = one({**CHAT, "versions": {"v1": {"weight": 50}, "v2": {"weight": 50}}})
    assert entry(before) != entry(after)
    assert of_kind(before, "Deployment") == of_kind(after, "Deployment")
    gateway = deployment(before, "naru-gateway")["template"]["spec"]
    assert not any("subPath" in mount for mount in gateway["containers"][0]["volumeMounts"])


@pytest.mark.parametrize(
    "resource", ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-3g.40gb", "amd.com/gpu"]
)
def test_gpus_are_asked_for_by_the_pools_name(resource: str) -> None:
    (container,) = containers(deployment(one(GPU, {"resource": resource}))["template"])
    assert container["resources"]["limits"][resource] == 1


def test_gpus_may_be_claimed() -> None:
    manifests = one({**GPU, "gpus": 2}, {"dra": {"enabled": True, "selectors": {"big": "device.x > 1"}}})
    pod = deployment(manifests)["template"]["spec"]
    assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": "naru-m-v1"}]
    assert pod["containers"][0]["resources"]["claims"] == [{"name": "gpus"}]
    assert "nvidia.com/gpu" not in pod["containers"][0]["resources"]["limits"]
    (request,) = named(manifests, "ResourceClaimTemplate")["spec"]["spec"]["devices"]["requests"]
    assert request["exactly"]["count"] == 2
    assert request["exactly"]["selectors"] == [{"cel": {"expression": "device.x > 1"}}]


def test_every_pod_of_a_replica_is_on_its_pool() -> None:
    pool = {
        "nodeSelector": {"pool": "a"}, "tolerations": {"t": {"key": "k", "operator": "Exists"}},
        "runtimeClassName": "nvidia", "priorityClassName": "high",
    }  # fmt: skip
    templates = [pod["spec"] for of, pod in pods(one({**GPU, "gpus": 8, "nodes": 2}, pool)) if "Leader" in of]
    assert len(templates) == 2
    for pod in templates:
        assert pod["nodeSelector"] == {"pool": "a"}
        assert pod["tolerations"] == [{"key": "k", "operator": "Exists"}]
        assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "high")


def test_a_follower_outlives_its_leaders_drain() -> None:
    model = {**GPU, "gpus": 8, "nodes": 2, "preStop": 5, "drainTimeout": 100}
    leader, follower = (pod["spec"] for of, pod in pods(one(model)) if "Leader" in of)
    sleeps = [pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] for pod in (leader, follower)]
    assert sleeps == [5, 105]
    assert leader["terminationGracePeriodSeconds"] == follower["terminationGracePeriodSeconds"] == 115


def test_a_node_drain_takes_one_replica_of_several_nodes_at_a_time() -> None:
    """A replica ends with any of its pods, so the budget counts all of them and not the leaders alone."""
    manifests = one({**GPU, "gpus": 8, "nodes": 2, "replicas": 2})
    budget = named(manifests, "PodDisruptionBudget", "naru-m-v1")["spec"]
    templates = [pod["metadata"]["labels"] for of, pod in pods(manifests) if "Leader" in of]
    assert len(templates) == 2
    assert all(budget["selector"]["matchLabels"].items() <= labels.items() for labels in templates)
    assert budget["maxUnavailable"] == 1


def test_a_new_version_of_the_chart_restarts_no_engine_that_it_does_not_change(tmp_path: Path) -> None:
    shutil.copytree(CHART, tmp_path / "naru")
    file = tmp_path / "naru" / "Chart.yaml"
    text = file.read_text(encoding="utf-8").replace("0.1.0", "0.2.0")
    file.write_text(text, encoding="utf-8")
    with helm_python.Chart.load(tmp_path / "naru") as newer:
        given = values(CHART / "values-gke.yaml")
        templates = newer.render(given, name="naru", namespace="models")
    (upgraded,) = yaml.safe_load_all(templates["naru/templates/models/deployment.yaml"])
    before = named(rendered(CHART / "values-gke.yaml"), "Deployment", "naru-qwen3-8b-v1")
    assert upgraded["metadata"]["labels"] != before["metadata"]["labels"]
    assert upgraded["spec"] == before["spec"]


def test_weights_outlive_a_release() -> None:
    claim = named(rendered(CHART / "ci" / "multi-node-values.yaml"), "PersistentVolumeClaim")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


def test_a_token_for_the_hub_comes_from_its_secret() -> None:
    (container,) = containers(deployment(one(GPU, huggingFace={"existingSecret": "hub"}))["template"])
    (token,) = (each for each in container["env"] if each["name"] == "HF_TOKEN")
    assert token["valueFrom"] == {"secretKeyRef": {"name": "hub", "key": "token"}}


def test_the_gateway_may_read_where_somebody_elses_service_is() -> None:
    outside = {"task": "chat", "runtime": "external", "versions": {"v1": {"service": "llm", "namespace": "other"}}}
    manifests = one(outside)
    for kind in ("Role", "RoleBinding"):
        found = {each["metadata"]["namespace"]: each["metadata"]["name"] for each in of_kind(manifests, kind)}
        # A release of the same name in the other namespace has a `naru-gateway` of its own.
        assert found == {"models": "naru-gateway", "other": "naru-gateway-models"}
    for binding in of_kind(manifests, "RoleBinding"):
        assert binding["roleRef"]["name"] == binding["metadata"]["name"]
    assert {each["subjects"][0]["namespace"] for each in of_kind(manifests, "RoleBinding")} == {"models"}


def test_grpc_has_a_route_only_under_names_of_its_own() -> None:
    """A listener takes but one of two routes of both kinds for a name, and that might be the one for gRPC."""
    parents = {"enabled": True, "parentRefs": {"edge": {}}}
    assert of_kind(one(CHAT, gatewayApi=parents), "GRPCRoute") == []
    named_apart = one(CHAT, gatewayApi={**parents, "hostnames": ["h.a.b"], "grpcHostnames": ["g.a.b"]})
    assert named(named_apart, "GRPCRoute")["spec"]["hostnames"] == ["g.a.b"]


def test_a_first_key_is_made_only_where_none_is_given() -> None:
    assert of_kind(one(CHAT), "Secret")
    for keys in ({"existingSecret": "k"}, {"developmentSecret": "d"}):
        assert of_kind(one(CHAT, keys=keys), "Secret") == []


def test_what_observability_makes_is_carried_whatever_there_is() -> None:
    manifests = rendered(CHART / "ci" / "keda-values.yaml")
    boards = [each for each in of_kind(manifests, "ConfigMap") if "grafana_dashboard" in each["metadata"]["labels"]]
    assert len(boards) == len(list((CHART / "files" / "dashboards").glob("*.json")))
    for board in boards:
        ((name, text),) = board["data"].items()
        assert text == (CHART / "files" / "dashboards" / name).read_text(encoding="utf-8")
    rules = of_kind(manifests, "PrometheusRule")
    files = sorted((CHART / "files" / "rules").glob("*.yaml"))
    assert [each["spec"] for each in rules] == [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]


def test_null_takes_away_what_another_file_has() -> None:
    without = {
        "models": {"sentiment": None, "smollm2-135m-instruct": {"versions": {"v1": None, "v2": {}}}},
        "nodePools": {"g": None},
    }
    manifests = render(merged(values(CHART / "values-kind.yaml"), without))
    assert {each["metadata"]["name"] for each in of_kind(manifests, "Deployment")} == {
        "naru-gateway", "naru-smollm2-135m-instruct-v2", "naru-recommendation-v1",
    }  # fmt: skip
    models = yaml.safe_load(named(manifests, "ConfigMap", "naru-registry")["data"]["registry.yaml"])["models"]
    assert set(models) == {"smollm2-135m-instruct", "recommendation"}
