"""A registry that changes: no answer of a version that has been taken out, no memory for a model that has no cache."""

from pathlib import Path

from tests.gateway.cache.asking import answering, ask, cached, said
from tests.gateway.test_reload import QUICK, reload
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running


async def test_no_answer_of_a_version_that_takes_no_traffic_any_more(tmp_path: Path) -> None:
    async with engine(answering()) as one, engine(answering()) as two:
        registry = chat_registry(one.url, two.url, cache={})
        registry["models"]["m"]["versions"]["v2"]["weight"] = 0
        async with running(registry, tmp_path, **QUICK) as gateway:
            assert (await ask(gateway)).headers["x-naru-version"] == "v1"
            assert await said(gateway) == "hit"
            weights = {"v1": 0, "v2": 100}
            for version, weight in weights.items():
                registry["models"]["m"]["versions"][version]["weight"] = weight
            await reload(gateway, tmp_path, registry)
            answer = await ask(gateway)
            assert (answer.headers["x-naru-version"], answer.headers["x-naru-cache"]) == ("v2", "miss")


async def test_answers_outlive_a_change_of_something_else_and_go_with_the_cache(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path, **QUICK) as gateway:
        await ask(gateway)
        await reload(gateway, tmp_path, chat_registry(one.url, cache={}, slo={"ttft": "1s"}))
        assert await said(gateway) == "hit"
        await reload(gateway, tmp_path, chat_registry(one.url))
        assert "x-naru-cache" not in (await ask(gateway)).headers
        assert await gateway.value("naru_cache_bytes", model="m") == 0
        await reload(gateway, tmp_path, cached(one.url))
        assert await said(gateway) == "miss"
