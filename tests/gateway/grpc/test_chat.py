"""ChatService says what OpenAI's chat completions say, in both directions."""

import base64
from pathlib import Path
from typing import Any

from openai.types.chat import completion_create_params

from services.common.pb.naru.v1 import chat_pb2 as pb
from tests.gateway.grpc.client import METADATA, asking, serving, text
from tests.support.engine import Received, Wire, delta, usage

ANSWER = {
    "id": "c1", "object": "chat.completion", "created": 1_700_000_000, "model": "m", "system_fingerprint": "f",
    "choices": [{
        "index": 0, "finish_reason": "tool_calls", "stop_reason": 7,
        "message": {
            "role": "assistant", "content": None, "reasoning": "hm",
            "tool_calls": [{"id": "t1", "type": "function", "function": {"name": "ferry", "arguments": '{"a": 1}'}}],
        },
        "logprobs": {"content": [{
            "token": "나", "logprob": -0.5, "bytes": [235, 130, 152],
            "top_logprobs": [{"token": "x", "logprob": -2.0, "bytes": [120]}],
        }]},
    }],
    "usage": {
        "prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
}  # fmt: skip


async def whole(_: Received, wire: Wire) -> None:
    await wire.whole(200, ANSWER)


async def sent(request: pb.ChatRequest, folder: Path) -> Any:
    """What the engine gets for a request."""
    async with serving(folder, whole) as (upstream, _, client):
        await client.chat.Chat(request, metadata=METADATA)
        return upstream.received[0].json


async def test_a_whole_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, whole) as (_, gateway, client):
        answer = await client.chat.Chat(asking(), metadata=METADATA)
        assert await gateway.outcome("ok", operation="chat", model="m", version="v1") == 1
    function = pb.FunctionCall(name="ferry", arguments='{"a": 1}')
    alternative = pb.TokenLogprob(token="x", logprob=-2.0, token_bytes=b"x")
    token = pb.TokenLogprob(token="나", logprob=-0.5, token_bytes="나".encode(), top_logprobs=[alternative])
    choice = pb.Choice(
        finish_reason=pb.FINISH_REASON_TOOL_CALLS, stop_reason="7", logprobs=pb.Logprobs(content=[token]),
        message=pb.ChatMessage(
            role=pb.ROLE_ASSISTANT, reasoning_content="hm", tool_calls=[pb.ToolCall(id="t1", function=function)]
        ),
    )  # fmt: skip
    assert answer == pb.ChatResponse(
        id="c1", created=1_700_000_000, model="m", choices=[choice], system_fingerprint="f",
        usage=pb.Usage(
            prompt_tokens=5, completion_tokens=2, total_tokens=7,
            prompt_tokens_details=pb.PromptTokensDetails(cached_tokens=4),
            completion_tokens_details=pb.CompletionTokensDetails(reasoning_tokens=1),
        ),
    )  # fmt: skip


async def test_a_stream(tmp_path: Path) -> None:
    async with serving(tmp_path) as (upstream, gateway, client):
        pieces = [piece async for piece in client.stream()]
        assert await gateway.value("gen_ai_server_time_to_first_token_seconds_count", stream="true") == 1
    assert text(pieces) == "Hello"
    assert pieces[0].choices[0].delta.role == pb.ROLE_ASSISTANT
    assert pieces[-1].usage == pb.Usage(prompt_tokens=5, completion_tokens=2)
    assert upstream.received[0].json["stream_options"] == {"include_usage": True}


async def test_usage_stays_in_the_gateway_where_it_was_not_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, client):
        call = client.chat.StreamChat(pb.StreamChatRequest(chat=asking()), metadata=METADATA)
        pieces = [piece async for piece in call]
        assert await gateway.value("naru_tokens_total", type="output") == 2
    assert not any(piece.HasField("usage") for piece in pieces)


async def test_tool_calls_and_finish_reasons_stream(tmp_path: Path) -> None:
    async def calls(_: Received, wire: Wire) -> None:
        await wire.head()
        call = {"index": 1, "id": "t1", "type": "function", "function": {"name": "ferry", "arguments": ""}}
        await wire.events(delta(role="assistant", tool_calls=[call]))
        await wire.events(delta(tool_calls=[{"index": 1, "function": {"arguments": "{}"}}]), delta(reasoning="hm"))
        for reason in ("tool_calls", "a reason of its own"):
            await wire.events({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        await wire.events(usage(1, 3), "[DONE]")
        await wire.last()

    async with serving(tmp_path, calls) as (_, _, client):
        first, second, thought, stop, other, _ = [piece.choices[:1] async for piece in client.stream()]
    begun = pb.ToolCallDelta(index=1, id="t1", function=pb.FunctionCall(name="ferry"))
    assert list(first[0].delta.tool_calls) == [begun]
    assert second[0].delta.tool_calls[0].function.arguments == "{}"
    assert thought[0].delta.reasoning_content == "hm"
    assert stop[0].finish_reason == pb.FINISH_REASON_TOOL_CALLS
    assert other[0].finish_reason == pb.FINISH_REASON_OTHER


async def test_what_is_not_set_is_not_sent(tmp_path: Path) -> None:
    assert await sent(asking(), tmp_path) == {
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": False,
    }  # fmt: skip


async def test_zero_and_false_are_sent_where_they_are_set(tmp_path: Path) -> None:
    body = await sent(asking(temperature=0, seed=0, logprobs=False, store=False), tmp_path)
    assert (body["temperature"], body["seed"], body["logprobs"], body["store"]) == (0, 0, False, False)


async def test_every_part_of_a_message(tmp_path: Path) -> None:
    parts = [
        pb.ContentPart(text="look"), pb.ContentPart(image_url=pb.ImageUrl(url="data:image/png;base64,", detail="low")),
        pb.ContentPart(input_audio=pb.InputAudio(data=b"\x00\xff", format="wav")),
        pb.ContentPart(file=pb.File(file_id="f1")), pb.ContentPart(video_url=pb.MediaUrl(url="https://v")),
        pb.ContentPart(other={"type": "new", "count": 3}),
    ]  # fmt: skip
    function = pb.FunctionCall(name="ferry", arguments="{}")
    messages = [
        pb.ChatMessage(role=pb.ROLE_DEVELOPER, content="be brief", name="d"),
        pb.ChatMessage(role=pb.ROLE_USER, parts=parts),
        pb.ChatMessage(role=pb.ROLE_ASSISTANT, tool_calls=[pb.ToolCall(id="t1", function=function)]),
        pb.ChatMessage(role=pb.ROLE_TOOL, content="42", tool_call_id="t1", extra={"weight": 0.5}),
    ]
    body = await sent(pb.ChatRequest(model="m", messages=messages), tmp_path)
    assert body["messages"] == [
        {"role": "developer", "content": "be brief", "name": "d"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,", "detail": "low"}},
            {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"\x00\xff").decode(), "format": "wav"}},
            {"type": "file", "file": {"file_id": "f1"}},
            {"type": "video_url", "video_url": {"url": "https://v"}},
            {"type": "new", "count": 3},
        ]},
        {"role": "assistant", "tool_calls": [
            {"id": "t1", "type": "function", "function": {"name": "ferry", "arguments": "{}"}},
        ]},
        {"role": "tool", "content": "42", "tool_call_id": "t1", "weight": 0.5},
    ]  # fmt: skip


async def test_tools_and_schemas_keep_their_properties_order(tmp_path: Path) -> None:
    schema = '{"type":"object","properties":{"z":{"type":"integer"},"a":{"type":"string"}}}'
    tool = pb.FunctionTool(name="ferry", parameters_json=schema, strict=True)
    request = asking(
        tools=[pb.Tool(function=tool)], tool_choice=pb.ToolChoice(function="ferry"),
        response_format=pb.ResponseFormat(json_schema=pb.JsonSchema(name="s", schema_json=schema)),
    )  # fmt: skip
    async with serving(tmp_path, whole) as (upstream, _, client):
        await client.chat.Chat(request, metadata=METADATA)
    received = upstream.received[0]
    assert received.body.count(schema.encode()) == 2
    assert received.json["tool_choice"] == {"type": "function", "function": {"name": "ferry"}}
    assert received.json["tools"][0]["function"]["strict"] is True
    assert received.json["response_format"]["json_schema"]["name"] == "s"


async def test_extra_fields_keep_their_types_and_yield_to_typed_ones(tmp_path: Path) -> None:
    extra = {
        "top_k": 20,
        "min_p": 0.1,
        "chat_template_kwargs": {"depth": [1, 2.5, None, True]},
        "seed": 1,
        "stream": True,
    }
    body = await sent(asking(seed=2, extra=extra), tmp_path)
    assert (body["top_k"], body["min_p"], body["seed"], body["stream"]) == (20, 0.1, 2, False)
    assert isinstance(body["top_k"], int)
    assert body["chat_template_kwargs"] == {"depth": [1, 2.5, None, True]}
    assert isinstance(body["chat_template_kwargs"]["depth"][0], int)


async def test_every_field_of_openais_request_can_be_said(tmp_path: Path) -> None:
    fields = set(completion_create_params.CompletionCreateParamsBase.__annotations__) - {"model", "messages"}
    typed = {field.name for field in pb.ChatRequest.DESCRIPTOR.fields}
    in_extra = fields - typed - {"stream_options"}  # a field of StreamChatRequest
    body = await sent(asking(extra=dict.fromkeys(in_extra, "said")), tmp_path)
    assert {name for name, value in body.items() if value == "said"} == in_extra


async def test_metadata_travels_both_ways(tmp_path: Path) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    metadata = (*METADATA, ("x-request-id", "mine-1"), ("traceparent", trace))
    async with serving(tmp_path) as (upstream, _, client):
        call = client.stream(metadata=metadata)
        assert [piece async for piece in call]
        begin, end = dict(await call.initial_metadata()), dict(await call.trailing_metadata())
    named = {
        "x-request-id": "mine-1", "x-naru-model": "m", "x-naru-version": "v1",
        "x-naru-endpoint": upstream.url.removeprefix("http://"),
    }  # fmt: skip
    assert begin == named
    assert end == named
    assert upstream.received[0].headers["x-request-id"] == "mine-1"
    assert upstream.received[0].headers["traceparent"] == trace
    assert "authorization" not in upstream.received[0].headers


async def test_a_key_may_come_as_anthropics_clients_send_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, _, client):
        call = client.stream(metadata=(("x-api-key", METADATA[0][1].removeprefix("Bearer ")),))
        assert text([piece async for piece in call]) == "Hello"
