"""The official OpenAI client works unchanged against the real engine behind the gateway."""

import json
import time

import httpx
import openai
import pytest

from tests.stack.conftest import KEY, MODEL, Stack, events
from tests.support.samples import scrape

pytestmark = pytest.mark.stack

QUESTION: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "Name three colours of the sea."}
]
TRAVEL: list[openai.types.chat.ChatCompletionMessageParam] = [
    {"role": "user", "content": "When do ferries leave from Busan?"}
]
TOOL: openai.types.chat.ChatCompletionFunctionToolParam = {
    "type": "function",
    "function": {
        "name": "ferry_times",
        "description": "When ferries leave.",
        "parameters": {
            "type": "object",
            "properties": {"harbour": {"type": "string", "enum": ["Busan", "Incheon"]}},
            "required": ["harbour"],
        },
    },
}


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=24, temperature=0)
    assert answer.choices[0].message.content
    assert answer.usage
    assert answer.usage.completion_tokens <= 24


def test_streaming_without_usage(client: openai.OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=24, temperature=0, stream=True
    ) as stream:
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks)
    assert all(c.usage is None and c.choices for c in chunks)


def test_streaming_with_usage(client: openai.OpenAI) -> None:
    options: openai.types.chat.ChatCompletionStreamOptionsParam = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=8, stream=True, stream_options=options
        )
    )
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 8


def test_streamed_deltas_are_the_engines_own(stack: Stack) -> None:
    body = {"model": MODEL, "messages": QUESTION, "max_tokens": 32, "temperature": 0, "seed": 1, "stream": True}

    def deltas(base: str) -> list[object]:
        headers = {"authorization": f"Bearer {KEY}"}
        raw = httpx.post(f"{base}/v1/chat/completions", json=body, headers=headers, timeout=120).content
        assert raw.endswith(b"data: [DONE]\n\n")
        return [event["choices"] for event in events(raw)]

    assert deltas(stack.gateway) == deltas(stack.llm)


def test_tools_are_passed_through_and_calls_come_back(client: openai.OpenAI, stack: Stack) -> None:
    before = stack.samples()
    answer = client.chat.completions.create(
        model=MODEL, messages=TRAVEL, tools=[TOOL], tool_choice="required", max_tokens=256, temperature=0
    )
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "ferry_times"
    chunks = client.chat.completions.create(
        model=MODEL, messages=TRAVEL, tools=[TOOL], tool_choice="required", max_tokens=256, temperature=0, stream=True
    )
    pieces = [
        piece.function.arguments or ""
        for chunk in chunks
        for piece in chunk.choices[0].delta.tool_calls or []
        if piece.function
    ]
    assert json.loads(call.function.arguments)["harbour"] in ("Busan", "Incheon")
    assert json.loads("".join(pieces)) == json.loads(call.function.arguments)
    name = "gen_ai_server_time_to_first_token_seconds_count"
    assert stack.samples().since(before, name, stream="true") == 1  # a tool call is content


def test_fields_the_client_library_does_not_know(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model=MODEL, messages=QUESTION, max_tokens=8, extra_body={"min_tokens": 8, "ignore_eos": True, "top_k": 1}
    )
    assert answer.usage
    assert answer.usage.completion_tokens == 8


def test_completions_and_responses(client: openai.OpenAI) -> None:
    completion = client.completions.create(model=MODEL, prompt="The sea is", max_tokens=8)
    assert completion.choices[0].text
    response = client.responses.create(model=MODEL, input="Name a sea.", max_output_tokens=16)
    assert response.output_text
    kinds = [
        e.type for e in client.responses.create(model=MODEL, input="Name a sea.", max_output_tokens=8, stream=True)
    ]
    assert "response.output_text.delta" in kinds
    assert kinds[-1] in ("response.completed", "response.incomplete")


def test_models(client: openai.OpenAI) -> None:
    assert {m.id for m in client.models.list()} == {MODEL, "sentiment", "recommendation"}
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_raw_response_headers(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL, messages=QUESTION, max_tokens=4, extra_headers={"x-request-id": "mine-1"}
    )
    assert raw.headers["x-request-id"] == "mine-1"
    assert raw.headers["x-naru-model"] == MODEL
    assert raw.headers["x-naru-version"] == "v1"
    assert raw.headers["x-naru-endpoint"].startswith("127.0.0.1:")
    assert raw.parse().choices


def test_errors_are_the_clients_own_classes(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-9", messages=QUESTION)
    assert unknown.value.code == "model_not_found"
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=QUESTION, max_tokens=10_000_000)
    assert "max_tokens" in str(refused.value) or "maximum" in str(refused.value)
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="wrong").models.list()
    with pytest.raises(openai.UnprocessableEntityError):
        client.post("/chat/completions", body={"messages": []}, cast_to=object)


def test_a_clients_timeout_stops_the_engine(client: openai.OpenAI, stack: Stack) -> None:
    before, engine = stack.samples(), scrape(stack.llm)
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.5).chat.completions.create(
            model=MODEL, messages=QUESTION, max_tokens=1500, extra_body={"ignore_eos": True}
        )
    deadline = time.monotonic() + 60
    while stack.samples().since(before, "naru_requests_total", outcome="client_cancelled") < 1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    while (after := scrape(stack.llm)).sum("vllm:num_requests_running"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert after.since(engine, "vllm:generation_tokens_total") < 1500
