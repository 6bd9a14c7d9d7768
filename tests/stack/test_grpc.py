"""gRPC and HTTP answer alike, from the same engine, and the same metrics move."""

from collections.abc import Iterator
from typing import Any

import grpc
import httpx
import pytest

from services.common.pb.naru.v1 import chat_pb2 as pb
from services.common.pb.naru.v1 import (
    chat_pb2_grpc,
    recommendation_pb2,
    recommendation_pb2_grpc,
    sentiment_pb2,
    sentiment_pb2_grpc,
)
from tests.stack.conftest import KEY, MODEL, Stack, events

pytestmark = pytest.mark.stack

METADATA = (("authorization", f"Bearer {KEY}"),)
QUESTION = "Name three things that float on water."
MOVED = (
    "gen_ai_server_time_to_first_token_seconds_count", "gen_ai_server_time_per_output_token_seconds_count",
    "gen_ai_server_request_duration_seconds_count", "gen_ai_client_token_usage_sum", "naru_tokens_total",
    "naru_requests_total", "naru_time_to_first_byte_seconds_count", "naru_slo_requests_total",
)  # fmt: skip
GAPS = "naru_inter_token_latency_seconds_count"
"""A busy engine puts two tokens into one event now and then, so this one need not be equal."""


@pytest.fixture
def channel(stack: Stack) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(stack.grpc) as made:
        yield made


def over_http(http: httpx.Client) -> tuple[str, Any, str]:
    body = {
        "model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0, "max_tokens": 40,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip
    chunks: list[Any] = events(http.post("/v1/chat/completions", json=body).content)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    return text, chunks[-1]["usage"], choices[-1]["finish_reason"]


def over_grpc(channel: grpc.Channel) -> tuple[str, pb.Usage, str]:
    message = pb.ChatMessage(role=pb.ROLE_USER, content=QUESTION)
    request = pb.StreamChatRequest(
        chat=pb.ChatRequest(model=MODEL, messages=[message], temperature=0, max_tokens=40),
        stream_options=pb.StreamOptions(include_usage=True),
    )
    pieces = list(chat_pb2_grpc.ChatServiceStub(channel).StreamChat(request, metadata=METADATA, timeout=120))
    choices = [choice for piece in pieces for choice in piece.choices]
    finished = pb.FinishReason.Name(choices[-1].finish_reason).removeprefix("FINISH_REASON_").lower()
    return "".join(choice.delta.content for choice in choices), pieces[-1].usage, finished


def test_a_stream_says_the_same_and_moves_the_same_metrics(
    stack: Stack, http: httpx.Client, channel: grpc.Channel
) -> None:
    over_http(http)  # both runs below find the prompt in the engine's cache
    begin = stack.samples()
    text, usage, finished = over_http(http)
    middle = stack.samples()
    typed_text, typed_usage, typed_finished = over_grpc(channel)
    end = stack.samples()
    assert typed_text == text
    assert typed_finished == finished
    names = ("prompt_tokens", "completion_tokens", "total_tokens")
    assert {name: getattr(typed_usage, name) for name in names} == {name: usage[name] for name in names}
    moved = {name: middle.since(begin, name) for name in MOVED}
    assert all(moved.values())
    assert {name: end.since(middle, name) for name in MOVED} == moved
    assert middle.since(begin, GAPS) > 0
    assert end.since(middle, GAPS) > 0


def test_a_whole_answer_and_extra_fields_of_the_engine(channel: grpc.Channel) -> None:
    message = pb.ChatMessage(role=pb.ROLE_USER, content=QUESTION)
    request = pb.ChatRequest(
        model=MODEL,
        messages=[message],
        max_tokens=8,
        logprobs=True,
        top_logprobs=2,
        extra={"top_k": 1, "min_tokens": 8},
    )
    answer = chat_pb2_grpc.ChatServiceStub(channel).Chat(request, metadata=METADATA, timeout=120)
    assert answer.usage.completion_tokens == 8
    assert answer.choices[0].finish_reason == pb.FINISH_REASON_LENGTH
    assert len(answer.choices[0].logprobs.content) == 8
    assert len(answer.choices[0].logprobs.content[0].top_logprobs) == 2


def test_a_json_schema_shapes_the_answer(channel: grpc.Channel) -> None:
    schema = '{"type":"object","properties":{"boat":{"type":"string","maxLength":8}},"required":["boat"]}'
    form = pb.ResponseFormat(json_schema=pb.JsonSchema(name="boat", schema_json=schema))
    message = pb.ChatMessage(role=pb.ROLE_USER, content="Name a boat.")
    request = pb.ChatRequest(model=MODEL, messages=[message], temperature=0, max_tokens=40, response_format=form)
    answer = chat_pb2_grpc.ChatServiceStub(channel).Chat(request, metadata=METADATA, timeout=120)
    assert answer.choices[0].message.content.lstrip().startswith("{")


def test_an_engines_refusal_names_the_field(channel: grpc.Channel) -> None:
    message = pb.ChatMessage(role=pb.ROLE_USER, content=QUESTION)
    request = pb.ChatRequest(model=MODEL, messages=[message], temperature=-1)
    with pytest.raises(grpc.RpcError) as caught:
        chat_pb2_grpc.ChatServiceStub(channel).Chat(request, metadata=METADATA, timeout=120)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "temperature" in (caught.value.details() or "")


def test_task_models_answer_what_they_answer_over_http(http: httpx.Client, channel: grpc.Channel) -> None:
    texts = ["What a lovely ferry ride!", "정말 지루한 영화였다"]
    said = http.post("/v1/sentiment", json={"input": texts}).json()["results"]
    request = sentiment_pb2.AnalyzeRequest(input=texts)
    typed = sentiment_pb2_grpc.SentimentServiceStub(channel).Analyze(request, metadata=METADATA, timeout=60)
    assert [dict(result.scores) for result in typed.results] == [
        {label: pytest.approx(score, abs=1e-4) for label, score in result["scores"].items()} for result in said
    ]
    items = http.post("/v1/recommendations", json={"user_id": "196", "k": 5}).json()["items"]
    stub = recommendation_pb2_grpc.RecommendationServiceStub(channel)
    found = stub.Recommend(recommendation_pb2.RecommendRequest(user_id="196", k=5), metadata=METADATA, timeout=60)
    assert [item.id for item in found.items] == [item["id"] for item in items]
    assert found.strategy == recommendation_pb2.STRATEGY_PERSONALISED
