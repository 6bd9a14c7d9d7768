"""`naru keys` and `naru usage` as people type them, against a key file and against a gateway's admin API."""

import csv
import io
import json
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from services.gateway.policy.keyfile import digest, load_keys
from services.local import key
from services.local.cli import app
from services.local.keys import default_file

ROWS = [
    {"day": day, "tenant": tenant, "key": "a", "model": "m", "currency": "EUR", "requests": 2, "input_tokens": 10,
     "output_tokens": 4, "estimated_tokens": 0, "cost": 0.5}
    for day in ("2026-01-01", "2026-01-02") for tenant in ("shop", "data")
]  # fmt: skip


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STATE", "CONFIG", "CACHE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    for name in ("NARU_API_KEY", "NARU_GATEWAY__KEYS__FILE", "NARU_GATEWAY__ADMIN__API_KEY"):
        monkeypatch.delenv(name, raising=False)


def naru(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.mark.parametrize("command", [["keys"], ["keys", "create"], ["keys", "list"], ["keys", "revoke"], ["usage"]])
def test_help(command: list[str]) -> None:
    result = naru(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_a_key_is_shown_once_and_only_its_hash_is_kept() -> None:
    made = naru("keys", "create", "app", "--tenant", "shop", "--model", "m", "--requests-per-minute", "60")
    assert made.exit_code == 0
    secret = made.stdout.strip()
    assert secret.startswith("naru-")
    kept = load_keys(default_file()).keys[0]
    assert (kept.name, kept.tenant, kept.requests_per_minute, kept.sha256) == ("app", "shop", 60, digest(secret))
    assert secret not in default_file().read_text()
    assert stat.S_IMODE(default_file().stat().st_mode) == 0o600
    listed = naru("keys", "list", "--format", "json")
    assert json.loads(listed.stdout)[0]["limits"] == "60 requests per minute"
    assert kept.sha256 not in listed.stdout
    assert naru("keys", "revoke", "app").exit_code == 0
    assert load_keys(default_file()).keys == ()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "app", "--tenant", "a/b"], "tenant"),
        (["create", "app", "--tenant", "t", "--priority", "urgent"], "priority"),
        (["revoke", "nobody"], "there is no key 'nobody'"),
        (["list", "--url", "http://127.0.0.1:9", "--file", "keys.yaml"], "exclude each other"),
        (["list", "--url", "http://127.0.0.1:9"], "nothing answers"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], said: str) -> None:
    result = naru("keys", *arguments)
    assert result.exit_code == 1
    assert said in result.output


def test_a_name_is_given_once() -> None:
    assert naru("keys", "create", "app", "--tenant", "t").exit_code == 0
    assert "revoke it first" in naru("keys", "create", "app", "--tenant", "t").output


def test_the_admin_key_is_made_once() -> None:
    assert key.admin_key() == key.admin_key()
    assert key.admin_key() != key.development_key()


class AdminApi(BaseHTTPRequestHandler):
    asked: list[tuple[str, Any]]

    def _answer(self, status: int, body: Any) -> None:
        length = int(self.headers.get("content-length", "0"))
        self.asked.append((f"{self.command} {self.path}", json.loads(self.rfile.read(length) or "null")))
        if self.headers["authorization"] != "Bearer the-admin-key":
            status, body = 401, {"error": {"message": "send the admin key"}}
        self.send_response(status)
        self.end_headers()
        self.wfile.write(b"" if body is None else json.dumps(body).encode())

    def do_GET(self) -> None:
        self._answer(
            200,
            {"data": ROWS if self.path.startswith("/admin/usage") else [{"name": "a", "tenant": "t", "sha256": "0…"}]},
        )

    def do_POST(self) -> None:
        self._answer(201, {"key": "naru-made"})

    def do_DELETE(self) -> None:
        self._answer(204, None)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def admin() -> Iterator[HTTPServer]:
    handler = type("Handler", (AdminApi,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def through(server: HTTPServer, *arguments: str, admin_key: str = "the-admin-key") -> Result:
    return naru(*arguments, "--url", f"http://127.0.0.1:{server.server_port}", "--admin-key", admin_key)


def test_keys_of_a_gateway_elsewhere(admin: HTTPServer) -> None:
    made = through(admin, "keys", "create", "a", "--tenant", "t", "--tokens-per-day", "5")
    assert made.stdout.strip() == "naru-made"
    assert through(admin, "keys", "list", "--format", "csv").stdout.splitlines()[1].startswith("a,t,all")
    assert through(admin, "keys", "revoke", "a").exit_code == 0
    asked: list[tuple[str, Any]] = admin.RequestHandlerClass.asked  # type: ignore[attr-defined]
    assert asked == [
        ("POST /admin/keys", {"name": "a", "tenant": "t", "tokens_per_day": 5}),
        ("GET /admin/keys", None),
        ("DELETE /admin/keys/a", None),
    ]
    refused = through(admin, "keys", "list", admin_key="another")
    assert refused.exit_code == 1
    assert "send the admin key" in refused.output


def test_usage_per_tenant_and_model(admin: HTTPServer) -> None:
    rows = json.loads(through(admin, "usage", "--format", "json", "--from", "2026-01-01").stdout)
    assert [(row["tenant"], row["requests"], row["input_tokens"], row["cost"]) for row in rows] == [
        ("data", 4, 20, 1.0), ("shop", 4, 20, 1.0),
    ]  # fmt: skip
    table = through(admin, "usage")
    assert "shop" in table.stdout
    found = list(csv.DictReader(io.StringIO(through(admin, "usage", "--format", "csv").stdout)))
    assert found[0]["output_tokens"] == "8"
