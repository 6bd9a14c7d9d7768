"""What a security linter finds in every preset and every file of ci/: checkov, all its checks, of any severity."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import FILES, Manifest, named, of_kind, pods, render, rendered
from tests.chart.values import CHART
from tests.support.environment import python_of

LINTER = "manifests.txt"

ACCEPTED = {
    "CKV_K8S_11": "no CPU limits: throttling a gateway or an engine costs its users latency and protects nobody",
    "CKV_K8S_15": "tags name versions: a registry that is away must not keep a pod from starting",
    "CKV_K8S_35": "what a program reads from its environment comes from a Secret there; keys are a mounted file",
    "CKV_K8S_43": "digests are set by who deploys (`image.digest`): there are none before images are built",
}
"""Checks that fail on purpose."""
ON_ONE = {
    ("CKV_K8S_8", "Pod.models.naru-test"): "it runs once, to its end",
    ("CKV_K8S_9", "Pod.models.naru-test"): "it runs once, to its end",
    ("CKV_K8S_38", "Deployment.models.naru-gateway"): "it reads EndpointSlices",
}
"""Checks that fail on purpose on one object."""


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_security_linter_finds_nothing_but_what_is_meant(tmp_path: Path) -> None:
    for file in FILES:
        path = tmp_path / f"{file.parent.name}-{file.name}"
        # What dashboards say is no object of Kubernetes, and long to read.
        path.write_text(yaml.safe_dump_all([each for each in rendered(file) if each["kind"] != "ConfigMap"]))
    failed = _failed(tmp_path)
    assert {check for check, _ in failed if check in ACCEPTED} == set(ACCEPTED), "an exception that nothing needs"
    unmeant = {each for each in failed if each[0] not in ACCEPTED and each not in ON_ONE}
    assert unmeant == set()
    assert failed >= set(ON_ONE)


def test_the_charts_readme_states_every_exception() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    stated = set(re.findall(r"CKV_K8S_\d+", readme))
    assert stated == set(ACCEPTED) | {check for check, _ in ON_ONE}


def _failed(folder: Path) -> set[tuple[str, str]]:
    """Each check that failed, with the object that it failed on."""
    command = [
        str(python_of(LINTER).with_name("checkov")), "--directory", str(folder), "--framework", "kubernetes",
        "--output", "json", "--quiet", "--compact", "--skip-download",
    ]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["passed"] > 1000
    return {(each["check_id"], each["resource"]) for each in report["results"]["failed_checks"]}


def peers(policy: Manifest, port: int) -> list[Manifest]:
    """Who may reach a port."""
    return [
        peer for rule in policy["spec"].get("ingress", []) if any(each["port"] == port for each in rule["ports"])
        for peer in rule.get("from", [{"everyone": True}])
    ]  # fmt: skip


def test_only_the_gateway_and_prometheus_reach_a_model() -> None:
    manifests = rendered(CHART / "values-kind.yaml")
    (gateway,) = (pod for of, pod in pods(manifests) if of == "Deployment/naru-gateway")
    for model, port in (("smollm2-135m-instruct", 8100), ("sentiment", 8200), ("recommendation", 8300)):
        policy = named(manifests, "NetworkPolicy", f"naru-{model}-v1")
        by_pod, by_namespace = peers(policy, port)
        assert by_pod["podSelector"]["matchLabels"].items() <= gateway["metadata"]["labels"].items()
        assert by_namespace == {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]


def test_the_admin_port_is_prometheus_alone() -> None:
    policy = named(rendered(CHART / "values-kind.yaml"), "NetworkPolicy", "naru-gateway")
    assert peers(policy, 8082) == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert peers(policy, 8080) == [{"everyone": True}]


def test_a_model_that_fetches_nothing_reaches_nothing_but_names() -> None:
    manifests = rendered(CHART / "values-kind.yaml")
    assert egress(manifests, "naru-sentiment-v1") == {53}
    for name in ("naru-recommendation-v1", "naru-smollm2-135m-instruct-v1"):
        assert egress(manifests, name) == {53, 443}


def egress(manifests: list[Manifest], name: str) -> set[int]:
    """The ports that a policy lets its pods reach."""
    rules = named(manifests, "NetworkPolicy", name)["spec"]["egress"]
    return {each["port"] for rule in rules for each in rule["ports"]}


def test_a_model_reaches_the_hub_and_the_collector_that_it_is_told_of() -> None:
    model = {"task": "chat", "runtime": "vllm", "source": "hf:a/b", "engine": {"traces": "http://c.t:4318"}}
    task = {"task": "sentiment", "runtime": "bentoml", "bento": "sentiment", "settings": {"traces": "http://c.t:4319"}}
    models = {name: {**each, "versions": {"v1": {}}} for name, each in {"m": model, "s": task}.items()}
    manifests = render({"models": models, "huggingFace": {"endpoint": "http://hub.internal:8080/hf"}})
    assert egress(manifests, "naru-m-v1") == {53, 443, 8080, 4318}
    assert egress(manifests, "naru-s-v1") == {53, 4319}


def test_whom_the_values_name_reaches_the_models_and_no_more() -> None:
    picker = {"podSelector": {"matchLabels": {"app": "picker"}}}
    model = {"task": "chat", "runtime": "vllm", "versions": {"v1": {}}}
    manifests = render({"models": {"m": model}, "networkPolicy": {"modelClients": {"picker": picker}}})
    assert peers(named(manifests, "NetworkPolicy", "naru-m-v1"), 8100)[2:] == [picker]
    assert picker not in peers(named(manifests, "NetworkPolicy", "naru-gateway"), 8082)


def test_names_are_asked_of_the_clusters_dns_alone() -> None:
    for policy in of_kind(rendered(CHART / "values-kind.yaml"), "NetworkPolicy"):
        (rule,) = (
            each for each in policy["spec"]["egress"] if {"port": 53, "protocol": "UDP"} in each.get("ports", [])
        )
        assert rule["to"] == [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}},
            {"ipBlock": {"cidr": "169.254.20.10/32"}},
        ]


def test_every_pod_has_a_policy() -> None:
    for file in FILES:
        manifests = rendered(file)
        policies = [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(manifests, "NetworkPolicy")]
        for of, pod in pods(manifests):
            assert any(labels.items() <= pod["metadata"]["labels"].items() for labels in policies), of


def test_no_secret_is_in_plain_text() -> None:
    """But for the first key, which the chart makes at random."""
    for file in FILES:
        for manifest in rendered(file):
            assert manifest["kind"] != "Secret" or manifest["metadata"]["name"] == "naru-key"
        for _, pod in pods(rendered(file)):
            for container in (*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]):
                for variable in container["env"]:
                    secret = any(word in variable["name"] for word in ("KEY", "TOKEN", "SECRET", "REDIS__URL"))
                    path = variable.get("value", "").startswith("/")
                    assert not secret or path or "secretKeyRef" in variable["valueFrom"]
