"""The admin API: keys are made and revoked, usage is read, and nothing secret is shown."""

import contextlib
import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.gateway.policy.keyfile import Key, add_key, digest, load_keys
from tests.support.engine import engine
from tests.support.gateway import KEY, Running, chat_registry, running

ADMIN_KEY = "an-admin-key-of-the-tests"
STREAM: dict[str, Any] = {"model": "m", "messages": [], "stream": True}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.yaml"
    add_key(path, Key(name="a", tenant="shop", sha256=digest("sk-a")))
    return path


@contextlib.asynccontextmanager
async def managed(path: Path | None, folder: Path) -> AsyncIterator[tuple[Running, httpx.AsyncClient]]:
    price = {"input": 1, "output": 2, "currency": "EUR"}
    async with (
        engine() as upstream,
        running(
            chat_registry(upstream.url, price=price), folder, key_file=path, admin={"api_key": ADMIN_KEY}
        ) as gateway,
        httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{gateway.admin_port}", headers={"authorization": f"Bearer {ADMIN_KEY}"}
        ) as admin,
    ):
        yield gateway, admin


async def test_a_key_is_made_used_and_revoked(path: Path) -> None:
    async with managed(path, path.parent) as (gateway, admin):
        new = {"name": "b", "tenant": "shop", "models": ["m"], "requests_per_minute": 60, "priority": "core-proactive"}
        made = await admin.post("/admin/keys", json=new)
        assert made.status_code == 201
        secret = made.json()["key"]
        headers = {"authorization": f"Bearer {secret}"}
        answer = await gateway.http.post("/v1/chat/completions", json=STREAM, headers=headers)
        assert answer.headers["x-ratelimit-limit-requests"] == "60"
        assert load_keys(path).keys[1].sha256 == digest(secret)
        listed = await admin.get("/admin/keys")
        assert [key["name"] for key in listed.json()["data"]] == ["development", "a", "b"]
        for kept in (secret, KEY, digest(secret), digest("sk-a"), ADMIN_KEY):
            assert kept not in listed.text
        assert (await admin.delete("/admin/keys/b")).status_code == 204
        assert (await gateway.http.get("/v1/models", headers=headers)).status_code == 401
        assert (await admin.delete("/admin/keys/b")).status_code == 404


async def test_without_the_admin_key_nothing_is_shown_and_with_none_set_there_is_nothing(path: Path) -> None:
    async with managed(path, path.parent) as (_, admin):
        for key in ("an-admin-key", KEY, "sk-a"):
            refused = await admin.get("/admin/keys", headers={"authorization": f"Bearer {key}"})
            assert refused.status_code == 401
            assert refused.json()["error"]["code"] == "invalid_api_key"
        assert (await admin.get("/metrics", headers={"authorization": ""})).status_code == 200
    async with engine() as upstream, running(chat_registry(upstream.url), path.parent) as gateway:
        admin_url = f"http://127.0.0.1:{gateway.admin_port}"
        assert (await gateway.http.get(f"{admin_url}/admin/keys")).status_code == 404


@pytest.mark.parametrize(
    ("new", "param"),
    [
        ({"name": "a", "tenant": "shop"}, "name"),
        ({"name": "b"}, "tenant"),
        ({"name": "b", "tenant": "t", "requests_per_minute": 0}, "requests_per_minute"),
        ({"name": "b", "tenant": "t", "sha256": digest("sk-b")}, "sha256"),
    ],
)
async def test_what_is_wrong_with_a_new_key_is_said(new: dict[str, Any], param: str, path: Path) -> None:
    async with managed(path, path.parent) as (_, admin):
        refused = await admin.post("/admin/keys", json=new)
        assert refused.status_code == 422
        assert refused.json()["error"]["param"] == param


async def test_without_a_key_file_there_is_nowhere_to_put_a_key(tmp_path: Path) -> None:
    async with managed(None, tmp_path) as (_, admin):
        refused = await admin.post("/admin/keys", json={"name": "b", "tenant": "t"})
        assert refused.status_code == 500
        assert "NARU_GATEWAY__KEYS__FILE" in refused.json()["error"]["message"]


async def test_usage_by_day_tenant_and_model(path: Path) -> None:
    async with managed(path, path.parent) as (gateway, admin):
        for key in ("sk-a", "sk-a", KEY):
            headers = {"authorization": f"Bearer {key}"}
            assert (await gateway.http.post("/v1/chat/completions", json=STREAM, headers=headers)).status_code == 200
        await gateway.until_outcome("ok", 3)
        today = datetime.now(UTC).date().isoformat()
        rows = (await admin.get("/admin/usage", params={"tenant": "shop"})).json()["data"]
        assert rows == [
            {
                "day": today, "tenant": "shop", "key": "a", "model": "m", "currency": "EUR", "requests": 2,
                "input_tokens": 10, "output_tokens": 4, "estimated_tokens": 0, "cost": pytest.approx(18e-6),
            }
        ]  # fmt: skip
        assert len((await admin.get("/admin/usage")).json()["data"]) == 2
        assert (await admin.get("/admin/usage", params={"model": "other"})).json()["data"] == []
        old = {"from": "2020-01-01", "to": "2020-01-31"}
        assert (await admin.get("/admin/usage", params=old)).json()["data"] == []
        text = (await admin.get("/admin/usage", params={"from": today}, headers={"accept": "text/csv"})).text
        assert {row["tenant"]: row["requests"] for row in csv.DictReader(io.StringIO(text))} == {
            "shop": "2", "development": "1",
        }  # fmt: skip


@pytest.mark.parametrize(
    "query", [{"from": "yesterday"}, {"format": "xml"}, {"from": "2026-02-01", "to": "2026-01-01"}]
)
async def test_a_wrong_question_is_answered_with_the_name_of_what_is_wrong(query: dict[str, str], path: Path) -> None:
    async with managed(path, path.parent) as (_, admin):
        refused = await admin.get("/admin/usage", params=query)
        assert refused.status_code == 422
        assert refused.json()["error"]["param"] in query
