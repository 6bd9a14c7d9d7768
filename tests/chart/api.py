"""Manifests against the API's own schemas: Kubernetes' three newest minors, and custom resources."""

import functools
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jsonschema_rs import Draft202012Validator, Registry
from kubernetes_validate.utils import all_versions

MINORS = list(dict.fromkeys(all_versions()))[-3:]
_NATIVE = files("kubernetes_validate") / "kubernetes-json-schema"
_CUSTOM = Path(__file__).with_name("custom-resources.yaml")
"""What of each custom resource the chart may use; see the file."""


def faults(manifest: dict[str, Any]) -> list[str]:
    """What an API server would refuse, field by field; unknown fields are faults, too."""
    of = f"{manifest['kind']}/{manifest['metadata']['name']}"
    if manifest["apiVersion"] in _custom_versions():
        return [f"{of}: {said}" for said in _said(_custom(manifest["apiVersion"], manifest["kind"]), manifest)]
    return [
        f"{of} on {minor}: {said}" for minor in MINORS
        for said in _said(_native(minor, manifest["apiVersion"], manifest["kind"]), manifest)
    ]  # fmt: skip


def _said(validator: Draft202012Validator, manifest: dict[str, Any]) -> list[str]:
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message[:300]}" for error in validator.iter_errors(manifest)
    ]  # fmt: skip


@functools.cache
def _definitions(minor: str) -> Registry:
    folder = _NATIVE / f"v{minor}-local-strict"
    content = json.loads((folder / "_definitions.json").read_text(encoding="utf-8"))
    return Registry([(content["$id"], content)])


@functools.cache
def _native(minor: str, version: str, kind: str) -> Draft202012Validator:
    group, slash, name = version.rpartition("/")
    suffix = f"{group.split('.')[0]}-{name}" if slash else name
    file = _NATIVE / f"v{minor}-local-strict" / f"{kind.lower()}-{suffix}.json"
    return Draft202012Validator(json.loads(file.read_text(encoding="utf-8")), registry=_definitions(minor))


@functools.cache
def _custom_versions() -> frozenset[str]:
    return frozenset(yaml.safe_load(_CUSTOM.read_text(encoding="utf-8"))["kinds"])


@functools.cache
def _custom(version: str, kind: str) -> Draft202012Validator:
    content = yaml.safe_load(_CUSTOM.read_text(encoding="utf-8"))
    schema = {
        "$id": f"https://kubernetes.io/api/{kind}/{version}",
        "type": "object", "required": ["spec"], "additionalProperties": False,
        "properties": {
            "apiVersion": {"const": version}, "kind": {"const": kind},
            "metadata": {"$ref": "/api/_definitions.json#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
            "spec": content["kinds"][version][kind],
        },
        "$defs": content["pieces"],
    }  # fmt: skip
    return Draft202012Validator(schema, registry=_definitions(MINORS[-1]))
