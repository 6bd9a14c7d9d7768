"""A busy model: who waits, who is refused and what they are told, over every carrier."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from services.gateway.policy.keyfile import Key
from services.gateway.registry import Priority
from tests.gateway.grpc.client import METADATA, asking, calling, details, drained
from tests.support.engine import Engine, Received, Wire, engine, hello
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
SENTIMENT = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a fine day"]}]}
PATIENT = Key(
    name="p", tenant="t", priority=Priority.COMPLEMENTARY_REACTIVE, sha256=hashlib.sha256(b"sk-patient").hexdigest()
)


@contextlib.asynccontextmanager
async def busy(
    folder: Path, **admission: Any
) -> AsyncIterator[tuple[Running, asyncio.Event, Engine, asyncio.Task[Any]]]:
    """A model of one place that is taken, until the event is set."""
    opened = asyncio.Event()

    async def gated(request: Received, wire: Wire) -> None:
        await opened.wait()
        await hello(request, wire)

    limits = {"concurrency": 1, **admission}
    async with (
        engine(gated) as upstream,
        running(chat_registry(upstream.url, admission=limits), folder, keys=[PATIENT]) as gateway,
    ):
        first = asyncio.create_task(ask(gateway))
        await until(lambda: upstream.running == 1)
        yield gateway, opened, upstream, first
        opened.set()
        assert (await first).status_code == 200
        assert await gateway.value("naru_queue_depth") == 0
        await gateway.until_outcome("ok")
        async with asyncio.timeout(30):
            while await gateway.value("naru_inflight_requests"):
                await asyncio.sleep(0.02)


async def ask(gateway: Running, **headers: str) -> httpx.Response:
    return await gateway.http.post("/v1/chat/completions", json=CHAT, headers=headers)


async def until(holds: Any) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


async def waiting(gateway: Running, count: float = 1, **labels: str) -> None:
    async with asyncio.timeout(30):
        while await gateway.value("naru_queue_depth", **labels) != count:
            await asyncio.sleep(0.01)


async def test_a_request_waits_for_its_turn_and_its_wait_is_part_of_its_ttft(tmp_path: Path) -> None:
    async with busy(tmp_path) as (gateway, opened, upstream, first):
        second = asyncio.create_task(ask(gateway))
        await waiting(gateway, priority="core-reactive")
        await asyncio.sleep(0.2)
        assert len(upstream.received) == 1
        opened.set()
        assert (await second).status_code == (await first).status_code == 200
        await gateway.until_outcome("ok", 2)
        assert await gateway.value("naru_queue_wait_seconds_sum") > 0.2
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_sum") > 0.4


async def test_a_full_queue_refuses_and_says_when_to_return(tmp_path: Path) -> None:
    async with busy(tmp_path, queue=0) as (gateway, opened, upstream, first):
        refused = await ask(gateway)
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "rejected_saturated"
        assert 1 <= int(refused.headers["retry-after"]) <= 300
        assert await gateway.outcome("rejected_saturated", model="m") == 1
        assert await gateway.value("naru_shed_total", model="m", priority="core-reactive", reason="full") == 1
        opened.set()
        await first
        assert (await ask(gateway)).status_code == 200
        assert len(upstream.received) == 2


async def test_a_more_urgent_request_takes_a_place_in_the_queue(tmp_path: Path) -> None:
    async with busy(tmp_path, queue=1) as (gateway, opened, _, __):
        patient = asyncio.create_task(ask(gateway, authorization="Bearer sk-patient"))
        await waiting(gateway, priority="complementary-reactive")
        urgent = asyncio.create_task(ask(gateway))
        assert (await patient).status_code == 429
        assert await gateway.value("naru_shed_total", priority="complementary-reactive", reason="displaced") == 1
        opened.set()
        assert (await urgent).status_code == 200


@pytest.mark.parametrize(
    ("asked", "given"),
    [("core-reactive", "complementary-reactive"), ("complementary-proactive", "complementary-proactive")],
)
async def test_a_header_lowers_the_class_and_never_raises_it(asked: str, given: str, tmp_path: Path) -> None:
    async with busy(tmp_path) as (gateway, _, __, ___):
        headers = {"authorization": "Bearer sk-patient", "x-naru-priority": asked}
        request = asyncio.create_task(ask(gateway, **headers))
        await waiting(gateway, priority=given)
        request.cancel()
        await waiting(gateway, 0)


@pytest.mark.parametrize(("header", "value"), [("x-naru-priority", "urgent"), ("x-naru-timeout", "-1")])
async def test_a_header_that_says_nothing_sensible_is_refused(header: str, value: str, tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        refused = await ask(gateway, **{header: value})
        assert refused.status_code == 422
        assert refused.json()["error"]["param"] == header


async def test_a_client_that_leaves_the_queue_is_not_sent(tmp_path: Path) -> None:
    async with busy(tmp_path) as (gateway, opened, upstream, first):
        second = asyncio.create_task(ask(gateway))
        await waiting(gateway)
        second.cancel()
        await waiting(gateway, 0)
        await gateway.until_outcome("client_cancelled")
        opened.set()
        await first
        assert len(upstream.received) == 1


async def test_a_deadline_that_passes_in_the_queue_ends_the_wait(tmp_path: Path) -> None:
    async with busy(tmp_path) as (gateway, opened, upstream, first):
        answer = await ask(gateway, **{"x-naru-timeout": "0.3"})
        assert answer.status_code == 408
        assert answer.json()["error"]["code"] == "deadline_exceeded"
        assert await gateway.value("naru_queue_depth") == 0
        opened.set()
        await first
        assert len(upstream.received) == 1


async def test_a_deadline_that_passes_at_the_engine_stops_it(tmp_path: Path) -> None:
    async def never(_: Received, __: Wire) -> None:
        await asyncio.sleep(30)

    async with engine(never) as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        assert (await ask(gateway, **{"x-naru-timeout": "1"})).status_code == 408
        await asyncio.wait_for(upstream.left.wait(), 20)
        await gateway.until_outcome("deadline_exceeded")


async def test_comments_go_out_while_a_stream_waits(tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def gated(request: Received, wire: Wire) -> None:
        await opened.wait()
        await hello(request, wire)

    registry = {"concurrency": 1, "patience": 0.5}
    often = {"comment_interval": 0.1}
    async with (
        engine(gated) as upstream,
        running(chat_registry(upstream.url, admission=registry), tmp_path, resilience=often) as gateway,
    ):
        first = asyncio.create_task(ask(gateway))
        await until(lambda: upstream.running == 1)
        second = await ask(gateway)  # its patience ends before the first one does
        assert second.status_code == 200
        assert second.content.count(b": keep-alive") >= 2
        assert b'"code":"rejected_saturated"' in second.content
        opened.set()
        assert (await first).content.endswith(b"data: [DONE]\n\n")


async def test_waiting_requests_are_served_while_the_gateway_drains(tmp_path: Path) -> None:
    async with busy(tmp_path) as (gateway, opened, _, __):
        second = asyncio.create_task(ask(gateway))
        await waiting(gateway)
        draining = asyncio.create_task(gateway.gateway.drain.finish(5))
        await asyncio.sleep(0.05)
        opened.set()
        assert (await second).status_code == 200
        assert await draining == 0


async def test_a_queue_whose_endpoint_dies_is_told_so(tmp_path: Path) -> None:
    async with busy(tmp_path, queue=50) as (gateway, opened, upstream, _):
        others = [asyncio.create_task(ask(gateway)) for _ in range(50)]
        await waiting(gateway, 50)
        assert upstream.server is not None
        upstream.server.close()  # what runs goes on; a new connection is refused
        opened.set()
        answers = await asyncio.gather(*others)
        assert {answer.status_code for answer in answers} <= {200, 502, 503}


@contextlib.asynccontextmanager
async def overflowing(
    folder: Path, limit: str = "concurrency", **small: Any
) -> AsyncIterator[tuple[Running, asyncio.Event, Engine]]:
    """A model `m` of one place and no queue, which is taken until the event is set, and its fallback `small`."""
    opened = asyncio.Event()

    async def gated(request: Received, wire: Wire) -> None:
        await opened.wait()
        await hello(request, wire)

    async with engine(gated) as full, engine() as other:
        registry = chat_registry(
            full.url, fallback=["small"], admission={limit: 1, "queue": 0, "overflow": True}
        )  # fmt: skip
        registry["models"]["small"] = {"task": "chat", "versions": {"s1": {"endpoints": [other.url]}}, **small}
        async with running(registry, folder) as gateway:
            first = asyncio.create_task(ask(gateway))
            await until(lambda: full.running == 1)
            yield gateway, opened, other
            opened.set()
            assert (await first).headers["x-naru-model"] == "m"


@pytest.mark.parametrize("limit", ["concurrency", "per_endpoint"])
async def test_a_model_without_room_overflows_to_its_fallback(limit: str, tmp_path: Path) -> None:
    async with overflowing(tmp_path, limit) as (gateway, _, other):
        answer = await ask(gateway)
        assert answer.status_code == 200
        assert answer.headers["x-naru-model"] == "small"
        assert other.received[0].json["model"] == "small"
        assert await gateway.value("naru_fallbacks_total", model="m", fallback="small") == 1
        assert await gateway.value("naru_shed_total") == 0


async def test_a_fallback_without_room_gets_nothing(tmp_path: Path) -> None:
    full = {"concurrency": 1, "queue": 0}
    async with overflowing(tmp_path, admission=full) as (gateway, _, other):
        other_opened = asyncio.Event()

        async def gated(request: Received, wire: Wire) -> None:
            await other_opened.wait()
            await hello(request, wire)

        other.script = gated
        second = asyncio.create_task(ask(gateway))
        await until(lambda: other.running == 1)
        refused = await ask(gateway)
        assert refused.status_code == 429
        assert refused.headers["x-naru-model"] == "m"
        other_opened.set()
        assert (await second).status_code == 200


async def test_grpc_waits_and_is_refused_alike(tmp_path: Path) -> None:
    async with busy(tmp_path, queue=1) as (gateway, opened, _, __), calling(gateway) as client:
        stream = asyncio.create_task(drained(client.stream()))
        await waiting(gateway)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.chat.Chat(asking(), metadata=METADATA)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        told = details(caught.value)
        assert told.reason == "rejected_saturated"
        assert told.retry_after is not None
        opened.set()
        assert await stream


async def test_a_grpc_deadline_that_cannot_be_met_is_refused_at_once(tmp_path: Path) -> None:
    async with busy(tmp_path, queue=5) as (gateway, opened, _, first), calling(gateway) as client:
        await asyncio.sleep(0.5)
        opened.set()
        await first
        opened.clear()
        others = [asyncio.create_task(ask(gateway)) for _ in range(4)]
        await waiting(gateway, 3)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.chat.Chat(asking(), metadata=METADATA, timeout=0.7)  # five turns away, of a third of a second
        assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
        assert await gateway.value("naru_shed_total", reason="deadline") == 1
        opened.set()
        await asyncio.gather(*others)


async def test_an_inference_waits_like_any_request(tmp_path: Path) -> None:
    opened = asyncio.Event()

    async def analyse(_: Received, wire: Wire) -> None:
        await opened.wait()
        scores = {"positive": 0.8, "neutral": 0.1, "negative": 0.1}
        results = [{"label": "positive", "score": 0.8, "scores": scores}]
        await wire.whole(200, {"model": "s", "version": "v1", "results": results})

    async with engine(analyse) as upstream:
        model = {
            "task": "sentiment", "versions": {"v1": {"endpoints": [upstream.url]}},
            "admission": {"concurrency": 1, "queue": 1},
        }  # fmt: skip
        async with running({"models": {"s": model}}, tmp_path) as gateway:
            first = asyncio.create_task(gateway.http.post("/v2/models/s/infer", json=SENTIMENT))
            await until(lambda: upstream.running == 1)
            second = asyncio.create_task(gateway.http.post("/v2/models/s/infer", json=SENTIMENT))
            await waiting(gateway)
            refused = await gateway.http.post("/v2/models/s/infer", json=SENTIMENT)
            assert refused.status_code == 429
            assert "retry-after" in refused.headers
            opened.set()
            assert [(await first).status_code, (await second).status_code] == [200, 200]
