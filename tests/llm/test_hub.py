"""The whole way of an `hf:` reference, against a small server with as much of the hub's API as a download needs."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

SHA = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": b"weights",
    "pytorch_model.bin": b"the same as a pickle",
    "README.md": b"not needed",
}


class Hub(BaseHTTPRequestHandler):
    """One repository, `org/tiny`, with the branch `main` and the tag `v2`, for holders of the token `secret`."""

    fetched: list[str]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if self.headers.get("authorization") != "Bearer secret":
            self._answer(401, b"", {"X-Error-Code": "RepoNotFound"})
        elif path in ("/api/models/org/tiny/revision/main", "/api/models/org/tiny/revision/v2"):
            siblings = [{"rfilename": name} for name in FILES]
            self._answer(200, json.dumps({"id": "org/tiny", "sha": SHA, "siblings": siblings}).encode())
        elif path == f"/api/models/org/tiny/tree/{SHA}":
            tree = [{"type": "file", "path": n, "size": len(c), "oid": n} for n, c in FILES.items()]
            self._answer(200, json.dumps(tree).encode())
        elif path.startswith(f"/org/tiny/resolve/{SHA}/"):
            self._file(path.rpartition("/")[2])
        else:
            self._answer(404, b"", {"X-Error-Code": "RevisionNotFound" if "/org/tiny/" in path else "RepoNotFound"})

    def _file(self, name: str) -> None:
        if self.command == "GET":
            self.fetched.append(name)
        self._answer(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": SHA})

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ((headers or {}) | {"Content-Length": str(len(body))}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        pass


class Hosted:
    """A running hub and a machine that downloads from it."""

    def __init__(self, address: str, fetched: list[str], home: Path) -> None:
        self.fetched = fetched
        self._environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_TOKEN": "secret"}

    def prepare(self, reference: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "services.llm.prepare"],
            env=self._environment | {"NARU_LLM__MODEL": reference} | environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hosted]:
    fetched: list[str] = []
    handler = type("Bound", (Hub,), {"fetched": fetched})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Hosted(f"http://127.0.0.1:{server.server_port}", fetched, tmp_path)
        server.shutdown()
        thread.join()


def test_a_revision_is_downloaded_once_and_then_served_offline(hub: Hosted) -> None:
    first = hub.prepare("hf:org/tiny@v2")
    assert first.returncode == 0, first.stderr
    folder = Path(first.stdout.splitlines()[-1].removeprefix("ready: "))
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    assert sorted(hub.fetched) == ["config.json", "model.safetensors"]
    offline = hub.prepare("hf:org/tiny@v2", HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert offline.stdout.splitlines()[-1] == f"ready: {folder}"


@pytest.mark.parametrize(
    ("reference", "environment", "told"),
    [
        ("hf:org/none", {}, "Not Found"),
        ("hf:org/tiny@v9", {}, "Revision Not Found"),
        ("hf:org/tiny", {"HF_TOKEN": "wrong"}, "401"),
        ("hf:org/tiny", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
    ],
)
def test_what_the_hub_refuses_is_told(hub: Hosted, reference: str, environment: dict[str, str], told: str) -> None:
    refused = hub.prepare(reference, **environment)
    assert refused.returncode != 0
    assert f"error: {reference}: tried" in refused.stderr
    assert told in refused.stderr
    assert "Traceback" not in refused.stderr
