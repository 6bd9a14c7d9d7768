"""Every preset and every file of ci/, rendered: objects that API servers take, and that fit each other."""

from pathlib import Path

import helm_python
import pytest
import yaml

from services.gateway import registry
from services.gateway.settings import GatewaySection
from tests.chart.api import MINORS, faults
from tests.chart.pod_security import violations
from tests.chart.rendering import (
    FILES,
    Manifest,
    containers,
    environment,
    named,
    of_kind,
    pods,
    rendered,
    values,
)
from tests.chart.schema import SCHEMA, text
from tests.chart.values import CHART

CLUSTER_WIDE = {"NodePool"}
_LEADER = {"leaderworkerset.sigs.k8s.io/worker-index": "0"}
"""What the operator of LeaderWorkerSets gives the pods that answer."""
UNRESTRICTED = {"ci/dra-values.yaml": "image", "ci/storage-values.yaml": "hostPath"}
"""Files whose point is a volume that the standard forbids, with the kind of volume."""


def title(file: Path) -> str:
    return str(file.relative_to(CHART))


@pytest.fixture(params=FILES, ids=title)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


@pytest.fixture
def manifests(file: Path) -> list[Manifest]:
    return rendered(file)


def test_the_schema_of_values_is_made_from_their_comments() -> None:
    assert SCHEMA.read_text(encoding="utf-8") == text(), "run python -m tests.docs.regenerate"


def test_the_api_of_the_three_newest_minors_takes_every_object(manifests: list[Manifest]) -> None:
    assert MINORS == ["1.35.0", "1.36.0", "1.37.0"]
    assert [fault for each in manifests for fault in faults(each)] == []


def test_helms_own_linter_has_nothing_to_say(file: Path) -> None:
    report = helm_python.lint(CHART, values(file), strict=True)
    assert report["errors"] == []
    assert [each for each in report["messages"] if each["severity"] > 1] == []


def test_the_gateway_reads_its_registry(file: Path, manifests: list[Manifest], tmp_path: Path) -> None:
    path = tmp_path / "registry.yaml"
    path.write_text(named(manifests, "ConfigMap", "naru-registry")["data"]["registry.yaml"], encoding="utf-8")
    services = {each["metadata"]["name"] for each in of_kind(manifests, "Service")}
    for name, model in registry.load(path).models.items():
        outside = values(file)["models"][name]["runtime"] == "external"
        assert outside or {version.service for version in model.versions.values()} <= services


def test_the_gateway_reads_its_settings(manifests: list[Manifest], monkeypatch: pytest.MonkeyPatch) -> None:
    container = containers(named(manifests, "Deployment", "naru-gateway")["spec"]["template"])[0]
    for variable in container["env"]:
        monkeypatch.setenv(variable["name"], variable.get("value", "redis://a-secret-of-the-cluster"))
    monkeypatch.setenv("NARU_GATEWAY__KUBERNETES__NAMESPACE", "models")
    gateway = _settings()
    assert str(gateway.registry) == "/etc/naru/registry/registry.yaml"
    assert gateway.http.host == gateway.admin.host == gateway.grpc.host == "0.0.0.0"


def _settings() -> GatewaySection:
    from services.gateway.settings import Settings  # noqa: PLC0415 - read from the environment

    return Settings().gateway  # type: ignore[call-arg]


def test_pods_keep_the_restricted_standard(file: Path, manifests: list[Manifest]) -> None:
    found = [f"{of}: {fault}" for of, pod in pods(manifests) for fault in violations(pod)]
    if title(file) in UNRESTRICTED:
        assert found
        assert all(fault.endswith(f": {UNRESTRICTED[title(file)]}") for fault in found)
    else:
        assert found == []


def test_only_the_gateway_has_a_token(manifests: list[Manifest]) -> None:
    for of, pod in pods(manifests):
        assert pod["spec"]["automountServiceAccountToken"] is (of == "Deployment/naru-gateway")
    for role in of_kind(manifests, "Role"):
        assert role["rules"] == [
            {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}
        ]


def test_no_two_objects_have_one_name(manifests: list[Manifest]) -> None:
    named = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in manifests]
    assert len(named) == len(set(named))
    assert all(each["metadata"].get("namespace") or each["kind"] in CLUSTER_WIDE for each in manifests)


def test_what_selects_pods_finds_some(manifests: list[Manifest]) -> None:
    """Services, budgets, policies, pools and Deployments select by labels that some pod has."""
    labels = [pod["metadata"]["labels"] | _LEADER for _, pod in pods(manifests)]
    for each in manifests:
        spec = each.get("spec", {})
        wanted = spec.get("podSelector") or spec.get("selector")
        if not isinstance(wanted, dict) or each["kind"] == "ServiceMonitor":
            continue
        wanted = wanted.get("matchLabels", wanted)
        assert any(wanted.items() <= some.items() for some in labels), f"{each['kind']}/{each['metadata']['name']}"


def test_no_pod_is_found_by_two_services_of_models(manifests: list[Manifest]) -> None:
    """A version's Service has its own pods and no other's: a canary gets its weight and no more."""
    services = [
        each
        for each in of_kind(manifests, "Service")
        if each["metadata"]["labels"]["app.kubernetes.io/component"] == "model"
    ]
    for _, pod in pods(manifests):
        labels = pod["metadata"]["labels"] | _LEADER
        assert sum(each["spec"]["selector"].items() <= labels.items() for each in services) <= 1


def test_ports_by_name_are_the_containers(manifests: list[Manifest]) -> None:
    for service in of_kind(manifests, "Service"):
        (found, *_) = (
            pod for _, pod in pods(manifests)
            if service["spec"]["selector"].items() <= (pod["metadata"]["labels"] | _LEADER).items()
        )  # fmt: skip
        ports = {port["name"]: port["containerPort"] for port in containers(found)[-1]["ports"]}
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"]


def test_what_is_mounted_is_there(manifests: list[Manifest]) -> None:
    """A volume for each mount, no volume in vain, and a writable place for each path that programs write to."""
    for of, pod in pods(manifests):
        volumes = {each["name"] for each in pod["spec"]["volumes"]}
        mounts = {each["name"] for container in containers(pod) for each in container["volumeMounts"]}
        assert mounts == volumes, of
        for container in containers(pod):
            writable = {each["mountPath"] for each in container["volumeMounts"] if not each.get("readOnly")}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            if of.startswith("Deployment/naru-gateway"):
                assert writable == {"/tmp"}
            elif not of.startswith("Pod/"):
                assert {"/tmp", "/var/cache/naru"} <= writable


def test_the_grace_of_a_pod_is_longer_than_its_sleep_and_drain(manifests: list[Manifest]) -> None:
    for of, pod in pods(manifests):
        if of.startswith("Pod/"):
            continue
        container = containers(pod)[-1]
        sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain = _drain(container)
        headless = "--headless" in container.get("args", [])
        assert pod["spec"]["terminationGracePeriodSeconds"] >= (sleep if headless else sleep + drain) + 5, of


def _drain(container: Manifest) -> int:
    """Seconds that a container's program gives running requests after SIGTERM."""
    arguments = container.get("args", [])
    if "--shutdown-timeout" in arguments:
        return int(arguments[arguments.index("--shutdown-timeout") + 1])
    variables = environment(container)
    return int(variables.get("NARU_GATEWAY__DRAIN__TIMEOUT") or variables.get("NARU_LLM__DRAIN_TIMEOUT") or 0)


def test_the_readme_of_the_chart_names_every_preset() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    assert [each.name for each in CHART.glob("values-*.yaml") if each.name not in readme] == []
    assert yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))["name"] == "naru"
