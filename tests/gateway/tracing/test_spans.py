"""A request's spans at a collector: what they are called, how they hang together, and what they never hold."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import pytest

from tests.gateway.grpc.client import METADATA, calling
from tests.support.collector import Collector, attributes, collecting
from tests.support.engine import Engine, Received, Wire, engine
from tests.support.gateway import Running, chat_registry, running

pytestmark = pytest.mark.usefixtures("carrier")

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01", "tracestate": "shop=7"}
SECRET = "the moon is made of cheese"
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": SECRET}], "stream": True}
ONE = ["attempt", "authenticate", "chat m", "first_token", "queue", "route", "stream"]


@contextlib.asynccontextmanager
async def traced(folder: Path, collector: Collector, *engines: Engine, **tracing: object) -> AsyncIterator[Running]:
    settings = {"endpoint": collector.url, "sample": 1, **tracing}
    registry = {"models": {"m": chat_registry()["models"]["m"] | {"versions": {
        "v1": {"endpoints": [each.url for each in engines]}
    }}}}  # fmt: skip
    async with running(registry, folder, tracing=settings) as gateway:
        yield gateway


async def ask(gateway: Running, headers: dict[str, str] | None = None, **fields: object) -> int:
    answer = await gateway.http.post("/v1/chat/completions", json={**CHAT, **fields}, headers=headers or {})
    return answer.status_code


async def test_a_chat_is_a_tree_of_spans(tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            began = perf_counter()
            assert await ask(gateway) == 200
            took = perf_counter() - began
        assert sorted(span.name for _, span in collector.spans) == ONE
        assert {service for service, _ in collector.spans} == {"naru-gateway"}
        root = collector.named("chat m")
        assert root.parent_span_id == b""
        others = [span for _, span in collector.spans if span.name != "chat m"]
        assert {span.parent_span_id for span in others} == {root.span_id}
        assert {span.trace_id for _, span in collector.spans} == {root.trace_id}
        sent = upstream.received[0].headers["traceparent"]
        assert sent == f"00-{root.trace_id.hex()}-{collector.named('attempt').span_id.hex()}-01"
        order = [collector.named(name) for name in ("authenticate", "queue", "route", "attempt")]
        starts = [span.start_time_unix_nano for span in order]
        assert starts == sorted(starts)
        assert all(root.start_time_unix_nano <= span.start_time_unix_nano for span in others)
        assert all(span.start_time_unix_nano <= span.end_time_unix_nano <= root.end_time_unix_nano for span in others)
        assert (root.end_time_unix_nano - root.start_time_unix_nano) / 1e9 <= took
        first, stream = collector.named("first_token"), collector.named("stream")
        assert first.end_time_unix_nano == stream.start_time_unix_nano


async def test_its_attributes_are_the_conventions(tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            await ask(gateway, {"x-request-id": "r-1"})
        root = collector.named("chat m")
        found = attributes(root)
        assert 0 < float(str(found.pop("gen_ai.response.time_to_first_chunk"))) < 5
        assert found == {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "naru", "gen_ai.request.model": "m",
            "gen_ai.request.stream": True, "gen_ai.usage.input_tokens": 5, "gen_ai.usage.output_tokens": 2,
            "http.request.method": "POST", "url.path": "/v1/chat/completions", "http.response.status_code": 200,
            "naru.version": "v1", "naru.tenant": "development", "naru.outcome": "ok", "naru.request_id": "r-1",
        }  # fmt: skip
        assert root.kind == root.SPAN_KIND_SERVER
        attempt = collector.named("attempt")
        assert attempt.kind == attempt.SPAN_KIND_CLIENT
        assert attributes(attempt) == {
            "server.address": "127.0.0.1",
            "server.port": upstream.port,
            "naru.endpoint": f"127.0.0.1:{upstream.port}",
        }


async def test_it_joins_the_callers_trace_and_the_log_and_the_metrics_name_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream, sample=0) as gateway:
            await ask(gateway, PARENT)
            await gateway.until_outcome("ok")
            accept = {"accept": "application/openmetrics-text; version=1.0.0"}
            page = await gateway.http.get(f"http://127.0.0.1:{gateway.admin_port}/metrics", headers=accept)
        root = collector.named("chat m")
        assert (root.trace_id.hex(), root.parent_span_id.hex()) == (TRACE, CALLER)
        assert upstream.received[0].headers["tracestate"] == "shop=7"
        (line,) = [json.loads(line) for line in capsys.readouterr().err.splitlines() if '"naru.request"' in line]
        assert line["trace_id"] == TRACE
        for name in ("time_to_first_token", "time_per_output_token", "request_duration"):
            marked = [line for line in page.text.splitlines() if name in line and f'# {{trace_id="{TRACE}"}}' in line]
            assert len(marked) == 1


async def test_over_grpc_too(tmp_path: Path) -> None:
    with collecting() as collector:
        async with (
            engine() as upstream,
            traced(tmp_path, collector, upstream) as gateway,
            calling(gateway) as stubs,
        ):
            assert [answer async for answer in stubs.stream(SECRET, (*METADATA, *PARENT.items()))]
        assert collector.named("chat m").trace_id.hex() == TRACE
        assert upstream.received[0].headers["traceparent"].startswith(f"00-{TRACE}-")


async def broken(_: Received, wire: Wire) -> None:
    wire.writer.transport.abort()


async def test_each_attempt_is_a_span_and_says_why_another_followed(tmp_path: Path) -> None:
    with collecting() as collector:
        async with (
            engine(broken) as one,
            engine(broken) as two,
            engine() as three,
            traced(tmp_path, collector, one, two, three) as gateway,
        ):
            for _ in range(6):
                assert await ask(gateway) == 200
        attempts = [span for _, span in collector.spans if span.name == "attempt"]
        failed = [span for span in attempts if span.status.code == span.status.STATUS_CODE_ERROR]
        assert len(attempts) == 6 + len(failed)
        assert failed
        assert {span.status.message for span in failed} == {"broken"}
        assert len({span.span_id for span in attempts}) == len(attempts)
        roots = [span for _, span in collector.spans if span.name == "chat m"]
        assert {root.status.code for root in roots} == {0}


async def test_a_request_that_failed_says_so(tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine(broken) as upstream, traced(tmp_path, collector, upstream) as gateway:
            assert await ask(gateway) == 502
        root = collector.named("chat m")
        assert root.status.code == root.status.STATUS_CODE_ERROR
        assert "before its answer was complete" in root.status.message
        assert attributes(root)["error.type"] == "upstream_error"
        assert "stream" not in {span.name for _, span in collector.spans}


@pytest.mark.parametrize(
    ("sample", "headers"), [(0, {}), (1, {"traceparent": f"00-{TRACE}-{CALLER}-00", "tracestate": "shop=7"})]
)
async def test_what_is_not_sampled_is_recorded_nowhere(sample: int, headers: dict[str, str], tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream, sample=sample) as gateway:
            await ask(gateway, headers)
        assert collector.spans == []
        sent = upstream.received[0].headers
        assert sent["traceparent"].endswith("-00")
        if headers:  # no part in a trace that is recorded nowhere: its context travels on as it came
            assert {name: sent[name] for name in headers} == headers
        else:
            assert "tracestate" not in sent


async def test_a_share_is_sampled(tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream, sample=0.5) as gateway:
            for _ in range(60):
                await ask(gateway, stream=False)
        sampled = [span for _, span in collector.spans if span.name == "chat m"]
        assert 10 <= len(sampled) <= 50


WRONG: dict[str, tuple[dict[str, str], dict[str, Any], int, str]] = {
    "key": ({"authorization": f"Bearer {SECRET}"}, CHAT, 401, "invalid_api_key"),
    "model": ({}, CHAT | {"model": "no-such-model"}, 404, "model_not_found"),
    "field": ({}, CHAT | {"model": 7}, 422, "invalid_field"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_a_request_that_is_refused_before_its_model_is_known_is_a_span(
    wrong: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    headers, body, status, reason = WRONG[wrong]
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            assert await ask(gateway, PARENT | headers | {"x-request-id": "r-1"}, **body) == status
        assert upstream.received == []
        span = collector.named("chat")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
        assert (span.kind, span.status.code) == (span.SPAN_KIND_SERVER, span.status.STATUS_CODE_ERROR)
        assert span.end_time_unix_nano > span.start_time_unix_nano
        assert attributes(span) == {
            "gen_ai.operation.name": "chat", "gen_ai.provider.name": "naru", "http.route": "/v1/chat/completions",
            "http.response.status_code": status, "error.type": reason, "naru.outcome": reason,
            "naru.request_id": "r-1",
        }  # fmt: skip
        assert not any(said in body for body in collector.bodies for said in (SECRET.encode(), b"no-such-model"))
        assert f'"trace_id":"{TRACE}"' in capsys.readouterr().err


async def test_so_is_an_rpc(tmp_path: Path) -> None:
    with collecting() as collector:
        async with (
            engine() as upstream,
            traced(tmp_path, collector, upstream) as gateway,
            calling(gateway) as stubs,
        ):
            with pytest.raises(grpc.aio.AioRpcError):
                [answer async for answer in stubs.stream(SECRET, (("authorization", "Bearer no"), *PARENT.items()))]
        span = collector.named("chat")
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, CALLER)
        assert attributes(span)["rpc.service"] == "naru.v1.ChatService"
        assert attributes(span)["error.type"] == "invalid_api_key"


@pytest.mark.parametrize(("headers", "recorded"), [({"authorization": "Bearer no"}, False), ({}, True)])
async def test_who_has_no_key_cannot_ask_to_be_recorded(
    headers: dict[str, str], recorded: bool, tmp_path: Path
) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream, sample=0) as gateway:
            assert await ask(gateway, PARENT | headers, model="no-such-model") in (401, 404)
        if recorded:
            assert collector.named("chat").trace_id.hex() == TRACE
        else:
            assert collector.spans == []


async def test_a_path_that_there_is_not_is_no_span(tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            assert (await gateway.http.post("/wp-login.php", headers=PARENT)).status_code == 404
        assert collector.spans == []


@pytest.mark.parametrize("stream", [True, False])
async def test_prompts_and_answers_are_recorded_only_where_that_is_switched_on(stream: bool, tmp_path: Path) -> None:
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            await ask(gateway, stream=stream)
        assert collector.bodies
        assert not any(SECRET.encode() in body or b"Hello" in body for body in collector.bodies)
    with collecting() as collector:
        async with engine() as upstream, traced(tmp_path, collector, upstream, content=True) as gateway:
            await ask(gateway, stream=stream)
        found = attributes(collector.named("chat m"))
        assert json.loads(str(found["gen_ai.input.messages"])) == CHAT["messages"]
        if stream:
            assert found["gen_ai.output.messages"] == "Hello"


@pytest.mark.parametrize(("status", "seconds"), [(500, 0.0), (404, 0.0), (200, 30.0), (0, 0.0)])
async def test_a_collector_that_fails_or_hangs_is_felt_by_nobody(status: int, seconds: float, tmp_path: Path) -> None:
    with collecting() as collector:
        collector.status, collector.seconds = status, seconds
        if not status:
            collector.url = "http://127.0.0.1:9"  # nobody listens
        async with engine() as upstream, traced(tmp_path, collector, upstream) as gateway:
            answers = await asyncio.gather(*(ask(gateway, stream=False) for _ in range(100)))
            assert set(answers) == {200}
            await gateway.until_outcome("ok", 100)
            began = perf_counter()
        assert perf_counter() - began < 10
    Collector.until(lambda: not any(thread.name.startswith("OtelBatch") for thread in threading.enumerate()))


async def test_off_the_clients_own_context_travels_as_it_came(tmp_path: Path) -> None:
    async with engine() as upstream, running(chat_registry(upstream.url), tmp_path) as gateway:
        await ask(gateway, PARENT)
        assert {name: upstream.received[0].headers[name] for name in PARENT} == PARENT
