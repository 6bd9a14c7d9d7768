"""Weights as values of a release, changed by Helm itself (its library) against an API server."""

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.rollout.errors import TakenOverError, TargetError
from services.rollout.plan import Plan, weights_at
from services.rollout.progress import Phase, Progress
from services.rollout.targets.helm_release import Helm, HelmRelease
from services.rollout.targets.registry_file import RegistryFile
from tests.chart import rendering
from tests.chart.rendering import texts
from tests.chart.values import CHART
from tests.rollout.cluster import Cluster

MODELS = {
    "llama-3.1-8b": {  # a name that `--set` would take apart
        "task": "chat", "slo": {"ttft": "500ms"},
        "versions": {"v1": {"weight": 100, "image": "a"}, "v2": {"weight": 0, "image": "b"}},
    }
}  # fmt: skip
PLAN = Plan(model="llama-3.1-8b", canary="v2", steps=(5, 25, 100))
REGISTRY = "naru/templates/gateway/configmap-registry.yaml"
TEMPLATE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: registry}
data: {registry.yaml: {{ toYaml (dict "models" .Values.models) | quote }}}
"""


def chart_at(folder: Path, version: str = "0.1.0") -> Path:
    (folder / "templates").mkdir(parents=True)
    (folder / "Chart.yaml").write_text(f"apiVersion: v2\nname: naru\nversion: {version}\n")
    (folder / "values.yaml").write_text("models: {}\n")
    (folder / "templates" / "registry.yaml").write_text(TEMPLATE)
    return folder


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster()
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": made.url}}], "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    }  # fmt: skip
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    yield made
    made.close()


def values(folder: Path, models: dict[str, Any]) -> str:
    path = folder / "values.yaml"
    path.write_text(yaml.safe_dump({"models": models}))
    return str(path)


@pytest.fixture
def helm(tmp_path: Path, cluster: Cluster) -> Helm:
    """Of a release that is installed."""
    binary = tmp_path / "helm"
    binary.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.rollout.helm "$@"\n')
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    chart = chart_at(tmp_path / "chart")
    helm = Helm("naru", str(chart), "prod", binary=str(binary))
    helm.run("install", "naru", str(chart), "--values", values(tmp_path, MODELS))
    return helm


def registry(cluster: Cluster) -> Any:
    """What the gateways mount."""
    return yaml.safe_load(cluster.objects["configmaps", "registry"]["data"]["registry.yaml"])


def test_a_step_is_a_revision_that_says_what_it_was(helm: Helm, cluster: Cluster) -> None:
    release = HelmRelease(helm)
    assert release.read(PLAN.model).weights == {"v1": 100, "v2": 0}
    assert release.read(PLAN.model).slo.ttft == 0.5
    assert release.progress(PLAN.model) is None

    progress = Progress(plan=PLAN, before={"v1": 100, "v2": 0})
    release.write(progress)
    assert registry(cluster)["models"][PLAN.model] == {
        **MODELS[PLAN.model], "versions": {"v1": {"weight": 95, "image": "a"}, "v2": {"weight": 5, "image": "b"}}
    }  # fmt: skip
    assert HelmRelease(helm).progress(PLAN.model) == progress
    history = json.loads(helm.run("history", "naru", "--output", "json"))
    assert [each["revision"] for each in history] == [1, 2]
    assert history[1]["description"].startswith("naru rollout: llama-3.1-8b v2 running, 5 % {")

    release.write(progress.model_copy(update={"phase": Phase.ROLLED_BACK, "reason": "it was worse"}))
    assert registry(cluster) == {"models": MODELS}
    kept = release.progress(PLAN.model)
    assert kept is not None
    assert (kept.phase, kept.reason) == (Phase.ROLLED_BACK, "it was worse")


def test_weights_that_somebody_else_gave_are_left_alone(helm: Helm, cluster: Cluster, tmp_path: Path) -> None:
    release = HelmRelease(helm)
    release.write(Progress(plan=PLAN, before={"v1": 100, "v2": 0}))
    other = values(tmp_path, {PLAN.model: {"versions": {"v2": {"weight": 77}}}})
    helm.run("upgrade", "naru", helm.chart, "--reuse-values", "--values", other)
    with pytest.raises(TakenOverError, match="'v2': 77"):
        release.write(Progress(plan=PLAN, before={"v1": 100, "v2": 0}, step=1))
    assert registry(cluster)["models"][PLAN.model]["versions"]["v2"]["weight"] == 77


def test_another_chart_would_change_more_than_weights(helm: Helm, cluster: Cluster, tmp_path: Path) -> None:
    other = Helm("naru", str(chart_at(tmp_path / "newer", "0.2.0")), "prod", binary=helm.binary)
    with pytest.raises(TargetError, match=r"runs the chart naru-0\.1\.0, and .* is naru-0\.2\.0"):
        HelmRelease(other).write(Progress(plan=PLAN, before={"v1": 100, "v2": 0}))
    assert registry(cluster) == {"models": MODELS}


@pytest.mark.parametrize("share", [1, 50, 100])
def test_a_step_changes_the_charts_registry_and_no_pod(share: int, tmp_path: Path) -> None:
    given = rendering.values(CHART / "ci" / "canary-values.yaml")
    before, weights = texts(given), weights_at(share, "v2", {"v1": 100, "v2": 0, "v3": 0})
    versions = {label: {"weight": weight} for label, weight in weights.items()}
    after = texts(rendering.merged(given, {"models": {"support": {"versions": versions}}}))
    # The development key is looked up in the cluster; where there is none, each rendering makes another one.
    made_anew = {REGISTRY, "naru/templates/gateway/secret-key.yaml"}
    assert {name for name in before if before[name] != after[name]} <= made_anew
    path = tmp_path / "registry.yaml"
    path.write_text(yaml.safe_load(after[REGISTRY])["data"]["registry.yaml"])
    assert RegistryFile(path).read("support").weights == weights


def test_what_helm_can_not_do_is_said_in_its_words(helm: Helm) -> None:
    absent = Helm("other", helm.chart, "prod", binary=helm.binary)
    with pytest.raises(TargetError, match=r"history other: Error: .*not found"):
        HelmRelease(absent).progress(PLAN.model)
    with pytest.raises(TargetError, match="has no model 'gpt'"):
        HelmRelease(helm).read("gpt")
    with pytest.raises(TargetError, match="No such file"):
        HelmRelease(Helm("naru", helm.chart, binary="/nowhere/helm")).read(PLAN.model)
