"""Enough of a Kubernetes API server for Helm to keep releases in it: Secrets and ConfigMaps of one namespace."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import yaml

KINDS = {"secrets": "Secret", "configmaps": "ConfigMap"}
_VERBS = ["create", "delete", "get", "list", "patch", "update"]
_RESOURCES = [{"name": name, "namespaced": True, "kind": kind, "verbs": _VERBS} for name, kind in KINDS.items()]
_PATHS = {
    f"/api/v1/namespaces/{{namespace}}/{name}/{{name}}": {
        "patch": {
            "x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": kind},
            "parameters": [{"name": "fieldValidation", "in": "query"}], "responses": {},
        }
    }
    for name, kind in KINDS.items()
}  # fmt: skip
"""That the server validates fields is all that Helm asks of its schema."""
DISCOVERY: dict[str, Any] = {
    "/version": {"major": "1", "minor": "34", "gitVersion": "v1.34.0"},
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": []},
    "/api/v1": {"kind": "APIResourceList", "groupVersion": "v1", "resources": _RESOURCES},
    "/openapi/v3": {"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1"}}},
    "/openapi/v3/api/v1": {"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1"}, "paths": _PATHS},
}


class Cluster:
    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        """By resource and name."""
        cluster = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                length = int(self.headers.get("content-length", 0))
                raw = self.rfile.read(length)
                status, body = cluster.answer(self.command, self.path, _decoded(raw))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                """Silent."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        parts = urlsplit(path)
        if parts.path in DISCOVERY:
            return 200, DISCOVERY[parts.path]
        found = parts.path.split("/")[1:]
        if found[:2] != ["api", "v1"] or len(found) < 5 or found[4] not in KINDS:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": path}
        resource, name = found[4], found[5] if len(found) > 5 else body.get("metadata", {}).get("name", "")
        if method == "GET" and len(found) == 5:
            return 200, self._list(resource, parse_qs(parts.query).get("labelSelector", [""])[0])
        return self._one(method, resource, name, body)

    def _list(self, resource: str, selector: str) -> dict[str, Any]:
        wanted = dict(each.split("=") for each in selector.split(",") if each)
        items = [
            held for (kind, _), held in self.objects.items()
            if kind == resource and wanted.items() <= held["metadata"].get("labels", {}).items()
        ]  # fmt: skip
        return {"kind": f"{KINDS[resource]}List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _one(self, method: str, resource: str, name: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        old = self.objects.get((resource, name))
        if method in ("GET", "DELETE", "PUT") and old is None:
            return 404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404, "message": name}
        if method == "POST" and old is not None:
            return 409, {"kind": "Status", "status": "Failure", "reason": "AlreadyExists", "code": 409, "message": name}
        if method == "GET":
            assert old is not None
            return 200, old
        if method == "DELETE":
            return 200, self.objects.pop((resource, name))
        made = {"kind": KINDS[resource], "apiVersion": "v1", **_merged(old or {}, body)}
        self.objects[resource, name] = made
        return 201 if old is None else 200, made


def _decoded(raw: bytes) -> dict[str, Any]:
    """A request's body: JSON or YAML, or the Secret that Helm writes in protobuf (apimachinery's `runtime.Unknown`)."""
    if not raw.startswith(b"k8s\0"):
        found: dict[str, Any] = yaml.safe_load(raw) if raw else {}
        return found
    fields = list(_fields(dict(_fields(raw[4:]))[2]))
    secret, meta = dict(fields), list(_fields(dict(fields)[1]))
    metadata = dict(meta)
    labels = dict(_entry(content) for number, content in meta if number == 11)
    data = dict(_entry(content) for number, content in fields if number == 2)
    return {
        "metadata": {"name": metadata[1].decode(), "labels": {key: value.decode() for key, value in labels.items()}},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()}, "type": secret[3].decode(),
    }  # fmt: skip


def _entry(raw: bytes) -> tuple[str, bytes]:
    """Of a protobuf map."""
    found = dict(_fields(raw))
    return found[1].decode(), found.get(2, b"")


def _fields(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Numbers and contents of a message's length-delimited fields."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < len(raw):
        tag = varint()
        length = varint()
        if tag & 7 == 2:
            yield tag >> 3, raw[at : at + length]
            at += length


def _merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A merge patch; a whole object is one as well."""
    made = dict(old)
    for key, value in new.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key) or {}, value) if isinstance(value, dict) else value
    return made
