"""Which requests are the same, and which are not ones to be kept at all."""

from pathlib import Path
from typing import Any

import pytest

from tests.gateway.cache.asking import ASK, OTHER, OTHER_KEY, answering, ask, cached, said
from tests.support.engine import engine
from tests.support.gateway import chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")


@pytest.mark.parametrize("change", [
    {"temperature": 0.1}, {"temperature": None}, {"temperature": "0"}, {"temperature": False},
    {"seed": None}, {"seed": "7"}, {"seed": 7.5},
], ids=str)  # fmt: skip
async def test_what_an_engine_may_draw_differently_is_not_kept(tmp_path: Path, change: dict[str, Any]) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        assert [await said(gateway, {**ASK, **change}) for _ in range(2)] == ["bypass", "bypass"]
        assert len(one.received) == 2
        assert await gateway.value("naru_cache_requests_total", result="bypass") == 2
        assert await gateway.value("naru_cache_entries") == 0


async def test_a_request_that_leaves_temperature_or_seed_out_is_not_kept(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        for left_out in ("temperature", "seed"):
            body = {name: value for name, value in ASK.items() if name != left_out}
            assert [await said(gateway, body) for _ in range(2)] == ["bypass", "bypass"]


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/responses"])
async def test_an_api_without_a_seed_is_not_kept(tmp_path: Path, path: str) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        for _ in range(2):
            assert (await ask(gateway, ASK, path)).headers["x-naru-cache"] == "bypass"


@pytest.mark.parametrize("control", ["no-cache", "No-Store", "max-age=0, no-cache"])
async def test_a_client_may_want_an_answer_of_its_own(tmp_path: Path, control: str) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        first = await ask(gateway)
        assert await said(gateway, **{"cache-control": control}) == "bypass"
        assert (await ask(gateway)).content == first.content  # and it took no other one's place


async def test_bodies_are_the_same_in_any_order_of_their_fields(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        first = await ask(gateway)
        turned = await ask(gateway, dict(reversed(ASK.items())))
        assert (turned.headers["x-naru-cache"], turned.content) == ("hit", first.content)


@pytest.mark.parametrize("change", [
    {"messages": [{"role": "user", "content": "ho"}]}, {"max_tokens": 5}, {"stream": True}, {"seed": 8}, {"user": "x"},
], ids=str)  # fmt: skip
async def test_any_other_field_makes_another_request(tmp_path: Path, change: dict[str, Any]) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        await ask(gateway)
        assert await said(gateway, {**ASK, **change}) == "miss"


async def test_chat_and_completion_of_the_same_fields_are_two_requests(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        await ask(gateway)
        assert (await ask(gateway, ASK, "/v1/completions")).headers["x-naru-cache"] == "miss"


async def test_an_adapter_has_its_own_answers(tmp_path: Path) -> None:
    async with (
        engine(answering()) as one,
        running(chat_registry(one.url, cache={}, adapters=["tuned"]), tmp_path) as gateway,
    ):
        await ask(gateway)
        tuned = {**ASK, "model": "tuned"}
        assert [await said(gateway, tuned) for _ in range(2)] == ["miss", "hit"]


async def test_a_header_that_an_engine_reads_makes_another_request(tmp_path: Path) -> None:
    async with engine(answering()) as one, running(cached(one.url), tmp_path) as gateway:
        await ask(gateway)
        assert await said(gateway, **{"openai-beta": "x"}) == "miss"
        assert await said(gateway, traceparent="00-1-1-01") == "hit"


@pytest.mark.parametrize(("shared", "result"), [(False, "miss"), (True, "hit")])
async def test_tenants_share_answers_only_on_purpose(tmp_path: Path, shared: bool, result: str) -> None:
    async with (
        engine(answering()) as one,
        running(cached(one.url, shared=shared), tmp_path, keys=[OTHER_KEY]) as gateway,
    ):
        mine = await ask(gateway)
        other = await ask(gateway, authorization=f"Bearer {OTHER}")
        assert other.headers["x-naru-cache"] == result
        assert (other.content == mine.content) is shared
        assert (await ask(gateway)).content == mine.content


async def test_an_answer_is_given_for_its_version_only(tmp_path: Path) -> None:
    async with (
        engine(answering()) as one,
        engine(answering()) as two,
        running(chat_registry(one.url, two.url, cache={}), tmp_path) as gateway,
    ):
        for version in ("v1", "v2", "v1", "v2"):
            answer = await ask(gateway, **{"x-naru-version": version})
            assert answer.headers["x-naru-version"] == version
        assert (len(one.received), len(two.received)) == (1, 1)
        assert await said(gateway) == "miss"  # who names no version does not get what somebody's choice was
