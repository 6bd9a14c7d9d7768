"""Custom resources against the schemas that their projects publish, as packages of the npm registry carry them.

These know types, enumerations and what is required, but pass over unknown fields, which an API server drops in silence.
`custom-resources.yaml` is strict about those, and knows LeaderWorkerSet and InferencePool, which no package carries.
"""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from services.common.paths import cache_dir
from tests.chart.rendering import FILES, Manifest, rendered
from tests.support.npm import BINARY, needs_npm

SOURCE = Path(__file__).with_name("official")
NODE = shutil.which("node")
GROUPS = ("gateway.networking.k8s.io", "karpenter.sh", "keda.sh", "monitoring.coreos.com")
KINDS = {
    "Gateway", "GRPCRoute", "HTTPRoute", "NodePool", "PodMonitor", "PrometheusRule", "ScaledObject", "ServiceMonitor",
}  # fmt: skip

pytestmark = needs_npm


@pytest.fixture(scope="session")
def packages() -> Path:
    """The folder with the packages of the lock, installed once."""
    lock = (SOURCE / "package-lock.json").read_bytes()
    folder = cache_dir() / "custom-resources" / hashlib.sha256(lock).hexdigest()[:16]
    complete = folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SOURCE, folder)
        command = [str(BINARY), "ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        complete.touch()
    shutil.copy(SOURCE / "validate.mjs", folder)
    return folder


def said(folder: Path, manifests: list[Manifest]) -> list[list[str]]:
    """What the official schemas say against each of these."""
    assert NODE is not None
    done = subprocess.run(
        [NODE, "validate.mjs"], cwd=folder, input=json.dumps(manifests), capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: list[list[str]] = json.loads(done.stdout)
    return answer


def of_these_groups(manifests: list[Manifest]) -> list[Manifest]:
    return [each for each in manifests if each["apiVersion"].partition("/")[0] in GROUPS]


def test_the_official_schemas_take_every_custom_resource(packages: Path) -> None:
    manifests = [each for file in FILES for each in of_these_groups(rendered(file))]
    assert {each["kind"] for each in manifests} == KINDS
    assert [fault for faults in said(packages, manifests) for fault in faults] == []


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("ScaledObject", {"triggers": []}),
        ("HTTPRoute", {"hostnames": ["not a name"]}),
        ("NodePool", {"disruption": {"consolidateAfter": "soon"}}),
        ("ServiceMonitor", {"endpoints": [{"interval": "often"}]}),
    ],
)
def test_they_notice_what_is_wrong(packages: Path, kind: str, spec: dict[str, Any]) -> None:
    (one, *_) = (each for file in FILES for each in rendered(file) if each["kind"] == kind)
    wrong = {**one, "spec": spec if kind == "ScaledObject" else {**one["spec"], **spec}}
    assert said(packages, [wrong]) != [[]]
