"""Where requests go, over real sockets: sessions, prompts that begin alike, canaries, adapters."""

from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.support.engine import engine
from tests.support.gateway import Running, running


def registry(*urls: str, **model: Any) -> dict[str, Any]:
    """One version on these endpoints."""
    return {"models": {"m": {"task": "chat", "versions": {"v1": {"endpoints": list(urls)}}, **model}}}


async def ask(gateway: Running, text: str = "hi", model: str = "m", **headers: str) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True}
    return await gateway.http.post("/v1/chat/completions", json=body, headers=headers)


async def test_a_session_stays_on_one_endpoint(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(registry(one.url, two.url), tmp_path) as gateway:
        homes = {}
        for name in map(str, range(20)):
            answers = [await ask(gateway, **{"x-naru-session": name}) for _ in range(3)]
            found = {answer.headers["x-naru-endpoint"] for answer in answers}
            assert len(found) == 1
            homes[name] = found.pop()
        assert len(set(homes.values())) == 2


async def test_a_conversation_stays_where_its_beginning_is(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(registry(one.url, two.url), tmp_path) as gateway:
        seen = []
        for system in "abcdefgh":
            found = {
                (await ask(gateway, system * 2000 + question)).headers["x-naru-endpoint"]
                for question in ("", "first", "second")
            }
            assert len(found) == 1
            seen.append(found.pop())
        assert len(set(seen)) == 2


async def test_a_canary_gets_its_share(tmp_path: Path) -> None:
    async with engine() as stable, engine() as canary:
        versions = {
            "v1": {"endpoints": [stable.url], "weight": 90}, "v2": {"endpoints": [canary.url], "weight": 10},
        }  # fmt: skip
        async with running(registry(versions=versions), tmp_path, seed=1) as gateway:
            found = Counter([(await ask(gateway)).headers["x-naru-version"] for _ in range(300)])
        assert 12 < found["v2"] < 55  # 30 expected; beyond four standard deviations
        assert found.total() == len(stable.received) + len(canary.received) == 300


async def test_an_adapter_is_asked_for_like_a_model(tmp_path: Path) -> None:
    async with engine() as one, running(registry(one.url, adapters=["support"]), tmp_path) as gateway:
        assert (await ask(gateway, model="support")).status_code == 200
        assert one.received[0].json["model"] == "support"
        assert (await ask(gateway, model="sales")).status_code == 404
        listed = {found["id"]: found for found in (await gateway.http.get("/v1/models")).json()["data"]}
        assert listed["support"]["parent"] == "m"
        assert "parent" not in listed["m"]
        # An adapter's requests count as its model's: no client makes a time series.
        assert await gateway.outcome("ok", model="m") == 1
