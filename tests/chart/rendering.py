"""The chart, rendered by the real Helm."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import helm_python
import yaml

from tests.chart.values import CHART

Manifest = dict[str, Any]

KIND = CHART / "values-kind.yaml"
OVER = {CHART / "values-minikube.yaml": KIND, CHART / "ci" / "kind-values.yaml": KIND}
"""Files that are laid over another one."""
FILES = sorted([*CHART.glob("values-*.yaml"), *CHART.glob("ci/*-values.yaml")])
"""Every preset, and every file of `ci/`."""


class Refused(Exception):
    """Helm renders nothing of these values; the message is what a user reads."""


class _Strict(yaml.CSafeLoader):
    """YAML in which a key that is there twice is a fault, as it is for the API server."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice in one mapping: {sorted(keys)}"
        return super().construct_mapping(node, deep)


@functools.cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Values as Helm lays one file over another."""
    result = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merged(result[key], value) if both else value
    return result


def values(file: Path) -> dict[str, Any]:
    """What `helm -f` makes of a file, and of the one it is laid over."""
    own = yaml.safe_load(file.read_text(encoding="utf-8"))
    return merged(values(OVER[file]), own) if file in OVER else own


def render(given: dict[str, Any], *, name: str = "naru", namespace: str = "models") -> list[Manifest]:
    """Every object that Helm would send to the API server, tests included. Raises Refused."""
    return list(_objects(texts(given, name=name, namespace=namespace)))


def texts(given: dict[str, Any], *, name: str = "naru", namespace: str = "models") -> dict[str, str]:
    """What each template gives. Raises Refused."""
    try:
        return chart().render(given, name=name, namespace=namespace)
    except helm_python.HelmError as error:
        raise Refused(str(error)) from None


def _objects(templates: dict[str, str]) -> Iterator[Manifest]:
    for template, text in templates.items():
        if template.endswith(".yaml"):
            yield from (each for each in yaml.load_all(text, _Strict) if each)


@functools.cache
def rendered(file: Path) -> list[Manifest]:
    """The objects of a preset or of a file of `ci/`; for reading."""
    return render(values(file))


def named(manifests: list[Manifest], kind: str, name: str | None = None) -> Manifest:
    """The one object of a kind, or of a kind and a name."""
    (found,) = (each for each in manifests if each["kind"] == kind and name in (None, each["metadata"]["name"]))
    return found


def of_kind(manifests: list[Manifest], kind: str) -> list[Manifest]:
    return [each for each in manifests if each["kind"] == kind]


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Every pod template with what it is of."""
    for each in manifests:
        title = f"{each['kind']}/{each['metadata']['name']}"
        if each["kind"] == "Pod":
            yield title, each
        elif each["kind"] == "Deployment":
            yield title, each["spec"]["template"]
        elif each["kind"] == "LeaderWorkerSet":
            yield title, each["spec"]["leaderWorkerTemplate"]["leaderTemplate"]
            yield title, each["spec"]["leaderWorkerTemplate"]["workerTemplate"]


def containers(pod: Manifest) -> list[Manifest]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(container: Manifest) -> dict[str, str]:
    """The plain variables of a container."""
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}
