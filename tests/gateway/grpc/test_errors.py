"""Every error is a status with google.rpc details, and counted once."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.pb.naru.v1 import chat_pb2 as pb
from services.common.pb.naru.v1 import sentiment_pb2
from services.gateway.policy.keyfile import development_key
from tests.gateway.grpc.client import METADATA, Details, Stubs, asking, details, drained, fallen_ill, serving, text
from tests.support.engine import Received, Wire, delta

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def failure(call: Awaitable[object]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_without_a_key_nothing_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path) as (upstream, gateway, client):
        for call in (client.chat.Chat(asking()), drained(client.stream(metadata=()))):
            error = await failure(call)
            assert error.code() == grpc.StatusCode.UNAUTHENTICATED
            assert details(error).reason == "invalid_api_key"
        assert await gateway.outcome("invalid_api_key", operation="chat") == 2
        assert upstream.received == []


REFUSED: dict[str, tuple[pb.ChatRequest, Details]] = {
    "an unknown model": (pb.ChatRequest(model="none"), Details("model_not_found", field="model")),
    "no model": (pb.ChatRequest(), Details("invalid_field", field="model")),
    "no role": (
        pb.ChatRequest(model="m", messages=[pb.ChatMessage(content="hi")]),
        Details("invalid_field", field="messages[0].role"),
    ),
    "an empty part": (
        pb.ChatRequest(model="m", messages=[pb.ChatMessage(role=pb.ROLE_USER, parts=[pb.ContentPart()])]),
        Details("invalid_field", field="messages[0].parts[0]"),
    ),
    "content and parts": (
        pb.ChatRequest(
            model="m", messages=[pb.ChatMessage(role=pb.ROLE_USER, content="", parts=[pb.ContentPart(text="a")])]
        ),
        Details("invalid_field", field="messages[0].parts"),
    ),
    "a schema that is not JSON": (
        asking(response_format=pb.ResponseFormat(json_schema=pb.JsonSchema(name="s", schema_json="{"))),
        Details("invalid_field", field="response_format.json_schema.schema_json"),
    ),
    "a number JSON lacks": (asking(extra={"x": float("nan")}), Details("invalid_field", field="extra")),
    "an empty tool choice": (asking(tool_choice=pb.ToolChoice()), Details("invalid_field", field="tool_choice")),
}


@pytest.mark.parametrize("refused", REFUSED)
async def test_a_request_that_is_wrong_is_told_the_field(refused: str, tmp_path: Path) -> None:
    request, expected = REFUSED[refused]
    async with serving(tmp_path) as (upstream, gateway, client):
        error = await failure(client.chat.Chat(request, metadata=METADATA))
        assert details(error) == expected
        assert error.code() == (grpc.StatusCode.NOT_FOUND if "unknown" in refused else INVALID)
        assert await gateway.outcome(expected.reason, operation="chat") == 1
        assert upstream.received == []


async def test_a_key_without_this_model_may_not_use_it(tmp_path: Path) -> None:
    other = development_key("sk-other").model_copy(update={"models": frozenset({"another"})})
    async with serving(tmp_path, keys=[other]) as (_, __, client):
        error = await failure(client.chat.Chat(asking(), metadata=(("authorization", "Bearer sk-other"),)))
    assert error.code() == grpc.StatusCode.PERMISSION_DENIED
    assert details(error).reason == "model_not_allowed"


async def test_a_task_without_a_model_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, client):
        error = await failure(client.sentiment.Analyze(sentiment_pb2.AnalyzeRequest(input=["a"]), metadata=METADATA))
        assert await gateway.outcome("model_not_found", operation="sentiment") == 1
    assert error.code() == grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_engines_refusal_comes_in_its_words(streamed: bool, tmp_path: Path) -> None:
    async def refuse(_: Received, wire: Wire) -> None:
        await wire.whole(400, {"error": {"message": "max_tokens is too large", "param": "max_tokens", "code": 400}})

    async with serving(tmp_path, refuse) as (_, gateway, client):
        error = await failure(ask(client, streamed))
        assert await gateway.outcome("engine_refused") == 1
    assert (error.code(), error.details()) == (INVALID, "max_tokens is too large")
    assert details(error).field == "max_tokens"


def ask(client: Stubs, streamed: bool) -> Awaitable[object]:
    return drained(client.stream()) if streamed else client.chat.Chat(asking(), metadata=METADATA)


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_overloaded_engine_says_when_to_come_back(streamed: bool, tmp_path: Path) -> None:
    async def overloaded(_: Received, wire: Wire) -> None:
        await wire.whole(503, {})

    async with serving(tmp_path, overloaded) as (_, __, client):
        error = await failure(ask(client, streamed))
    assert error.code() == UNAVAILABLE
    assert details(error) == Details("unavailable", retry_after=2)
    assert dict(error.trailing_metadata())["x-naru-model"] == "m"


async def test_without_a_healthy_endpoint(tmp_path: Path) -> None:
    async with serving(tmp_path) as (upstream, gateway, client):
        await fallen_ill(upstream, gateway)
        error = await failure(drained(client.stream()))
        assert await gateway.outcome("no_healthy_endpoint") == 1
    assert error.code() == UNAVAILABLE
    assert details(error).retry_after


async def broken_off(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"), delta(content="b"))
    await wire.last()


async def says_that_it_failed(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"), delta(content="b"), {"error": {"message": "out of memory"}}, "[DONE]")
    await wire.last()


async def talks_nonsense(_: Received, wire: Wire) -> None:
    await wire.head()
    await wire.events(delta(content="a"), delta(content="b"), {"choices": "none"}, "[DONE]")
    await wire.last()


@pytest.mark.parametrize(
    ("script", "outcome"),
    [(broken_off, "truncated"), (says_that_it_failed, "upstream_error"), (talks_nonsense, "upstream_error")],
)
async def test_a_stream_that_fails_gives_what_there_was_and_the_error(
    script: Callable[[Received, Wire], Awaitable[None]], outcome: str, tmp_path: Path
) -> None:
    async with serving(tmp_path, script) as (_, gateway, client):
        call = client.stream()
        assert text([await call.read(), await call.read()]) == "ab"
        error = await failure(call.read())
        assert error.code() == UNAVAILABLE
        assert details(error).reason == outcome
        await gateway.until_outcome(outcome)
        assert await gateway.outcome("ok") == 0


async def test_bytes_that_are_no_message_are_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, client):
        method: Any = client.channel.unary_unary("/naru.v1.ChatService/Chat")
        error = await failure(method(b"\xff\xff\xff", metadata=METADATA))
        assert error.code() == INVALID
        assert await gateway.outcome("invalid_request", operation="chat") == 1


async def test_a_message_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, grpc={"max_message": 1000}) as (upstream, _, client):
        error = await failure(client.chat.Chat(asking("x" * 2000), metadata=METADATA))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert upstream.received == []


async def test_metadata_over_the_limit_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, grpc={"max_metadata": 2048}) as (upstream, _, client):
        error = await failure(client.chat.Chat(asking(), metadata=(*METADATA, ("x-long", "x" * 4000))))
        assert error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert upstream.received == []


async def test_an_unknown_method_is_unimplemented(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, __, client):
        method: Any = client.channel.unary_unary("/naru.v1.ChatService/Sing")
        error = await failure(method(b"", metadata=METADATA))
    assert error.code() == grpc.StatusCode.UNIMPLEMENTED


async def test_an_unknown_version_is_not_found(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, __, client):
        error = await failure(drained(client.stream(metadata=(*METADATA, ("x-naru-version", "v9")))))
    assert error.code() == grpc.StatusCode.NOT_FOUND
