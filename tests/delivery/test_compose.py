"""The stack for people with Docker: what its files name is there, and its containers may write what they need."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from services.gateway.registry import load
from services.local.install import ROOT
from tests.delivery.conftest import writable
from tests.delivery.test_lint import tool
from tests.support.prometheus import needs_prometheus

COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OWN = {name: service for name, service in SERVICES.items() if "build" in service}
SCRAPED = yaml.safe_load((ROOT / "compose/prometheus.yaml").read_text())["scrape_configs"]


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """What is mounted, by the place inside."""
    found = (volume.split(":") for volume in service.get("volumes", []))
    return {inside: outside for outside, inside, *_ in found} | dict.fromkeys(service.get("tmpfs", []), "tmpfs")


def test_the_compose_file_fits_its_schema() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")


def test_what_the_stack_builds_are_targets_of_the_dockerfile() -> None:
    stages = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for service in OWN.values():
        target = service["build"]["target"]
        assert target in stages
        assert service["image"] == f"${{NARU_REGISTRY:-ghcr.io/naru-serving}}/{target}:${{NARU_TAG:-dev}}"


def test_each_container_has_a_read_only_root_and_may_write_what_the_documentation_names() -> None:
    for name, service in SERVICES.items():
        assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"]), name
    for service in OWN.values():
        inside = {path for path, outside in mounts(service).items() if not outside.startswith(".")}
        # Docker itself gives every container a /dev/shm; the engine's is larger.
        assert inside == set(writable(service["build"]["target"])) - {"/dev/shm"}
        assert ("shm_size" in service) == ("/dev/shm" in writable(service["build"]["target"]))


def test_the_files_that_are_mounted_are_there() -> None:
    named = [
        outside for service in SERVICES.values() for outside in mounts(service).values() if outside.startswith(".")
    ]
    assert [path for path in named if not (ROOT / path).exists()] == []
    provider = yaml.safe_load((ROOT / "compose/grafana/dashboards.yaml").read_text())["providers"][0]
    folder = mounts(SERVICES["grafana"])[str(Path(provider["options"]["path"]).parent)]
    assert list((ROOT / folder / "dashboards").glob("*.json"))


def test_no_port_is_open_to_the_network() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_registry_names_the_services_of_the_stack() -> None:
    endpoints = [
        endpoint
        for model in load(ROOT / "compose/registry.yaml").models.values()
        for version in model.versions.values()
        for endpoint in version.endpoints
    ]
    ports = {"llm": 8100, "sentiment": 8200, "recommendation": 8300}
    assert endpoints == [f"http://{name}:{port}" for name, port in ports.items()]
    assert ports.keys() < OWN.keys()


def test_prometheus_scrapes_every_service_and_says_what_it_serves() -> None:
    targets = [static for job in SCRAPED for static in job["static_configs"]]
    assert {target.split(":")[0] for static in targets for target in static["targets"]} == OWN.keys()
    served = load(ROOT / "compose/registry.yaml").models
    labelled = {
        static["labels"]["naru_model"]: static["labels"]["naru_version"] for static in targets if "labels" in static
    }
    assert labelled == {name: next(iter(model.versions)) for name, model in served.items()}


@needs_prometheus
def test_promtool_accepts_the_configuration(tmp_path: Path) -> None:
    text = (ROOT / "compose/prometheus.yaml").read_text()
    rules = mounts(SERVICES["prometheus"])["/etc/naru"]
    (tmp_path / "prometheus.yaml").write_text(text.replace("/etc/naru", str(ROOT / rules)))
    promtool = shutil.which("promtool")
    assert promtool is not None
    done = subprocess.run(
        [promtool, "check", "config", tmp_path / "prometheus.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "rule files found" in done.stdout


def test_dashboards_find_the_data_source_of_the_stack() -> None:
    source = yaml.safe_load((ROOT / "compose/grafana/datasources.yaml").read_text())["datasources"][0]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    for file in (ROOT / "charts/naru/files/dashboards").glob("*.json"):
        variables = json.loads(file.read_text())["templating"]["list"]
        assert any(each["type"] == "datasource" and each["query"] == source["type"] for each in variables), file.name
