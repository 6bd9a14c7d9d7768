"""A request may name the version that answers it: that one answers, or none does."""

from pathlib import Path

from tests.support.engine import engine
from tests.support.gateway import chat_registry, running

ASK = {"model": "m", "messages": [], "stream": True}


async def test_the_header_decides(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(chat_registry(one.url, two.url), tmp_path) as gateway:
        for version in ("v1", "v2") * 10:
            answer = await gateway.http.post("/v1/chat/completions", json=ASK, headers={"x-naru-version": version})
            assert answer.headers["x-naru-version"] == version
        assert (len(one.received), len(two.received)) == (10, 10)


async def test_a_version_that_there_is_not_is_named(tmp_path: Path) -> None:
    async with engine() as one, running(chat_registry(one.url), tmp_path) as gateway:
        answer = await gateway.http.post("/v1/chat/completions", json=ASK, headers={"x-naru-version": "v" * 1000})
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("version_not_found", "x-naru-version")
        assert len(error["message"]) < 500
        assert not one.received


async def test_a_version_that_is_down_is_not_replaced(tmp_path: Path) -> None:
    async with engine() as one, engine() as two, running(chat_registry(one.url, two.url), tmp_path) as gateway:
        two.healthy = False
        while gateway.gateway.health.rounds.followed[1].healthy:
            await gateway.samples()
        answer = await gateway.http.post("/v1/chat/completions", json=ASK, headers={"x-naru-version": "v2"})
        assert answer.status_code == 503
        assert "'v2'" in answer.json()["error"]["message"]
        assert not one.received
