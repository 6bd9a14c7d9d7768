"""The task models' services answer what their HTTP surfaces answer."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from services.common.pb.naru.v1 import recommendation_pb2, sentiment_pb2
from tests.gateway.grpc.client import METADATA, calling, details
from tests.support.engine import Received, Wire, engine
from tests.support.gateway import running


def registry(url: str) -> dict[str, Any]:
    versions = {"v1": {"endpoints": [url]}}
    return {"models": {task: {"task": task, "versions": versions} for task in ("sentiment", "recommendation")}}


async def answers(request: Received, wire: Wire) -> None:
    if request.path == "/analyze":
        scores = {"positive": 0.75, "neutral": 0.25, "negative": 0.0}
        odd = {"label": "odd", "score": 1.0, "scores": {"odd": 1}}
        results = [{"label": "positive", "score": 0.75, "scores": scores}, odd]
        await wire.whole(200, {"model": "sentiment", "version": "v1", "results": results})
        return
    items = [{"id": "50", "title": "Ferry", "score": 0.5}, {"id": "7", "score": 0.25}]
    body = {"model": "recommendation", "version": "v1", "strategy": "personalised", "items": items}
    await wire.whole(200, {**body, "unknown_items": ["x"]})


async def test_sentiment(tmp_path: Path) -> None:
    async with (
        engine(answers) as upstream, running(registry(upstream.url), tmp_path) as gateway, calling(gateway) as client,
    ):  # fmt: skip
        request = sentiment_pb2.AnalyzeRequest(input=["lovely", "정말"])
        answer = await client.sentiment.Analyze(request, metadata=METADATA)
        assert await gateway.outcome("ok", operation="sentiment", version="v1") == 1
    assert upstream.received[0].json == {"input": ["lovely", "정말"]}
    lovely, odd = answer.results
    assert (answer.model, answer.version) == ("sentiment", "v1")
    assert lovely.label == sentiment_pb2.SENTIMENT_LABEL_POSITIVE
    assert (lovely.score, dict(lovely.scores)) == (0.75, {"positive": 0.75, "neutral": 0.25, "negative": 0.0})
    assert odd.label == sentiment_pb2.SENTIMENT_LABEL_UNSPECIFIED


async def test_recommendation(tmp_path: Path) -> None:
    async with (
        engine(answers) as upstream, running(registry(upstream.url), tmp_path) as gateway, calling(gateway) as client,
    ):  # fmt: skip
        request = recommendation_pb2.RecommendRequest(user_id="196", history=["50"], k=2, exclude_seen=False)
        answer = await client.recommendation.Recommend(request, metadata=METADATA)
        await client.recommendation.Recommend(recommendation_pb2.RecommendRequest(), metadata=METADATA)
    asked, defaults = (request.json for request in upstream.received)
    assert asked == {"user_id": "196", "history": ["50"], "k": 2, "exclude_seen": False}
    assert defaults == {"k": 10, "exclude_seen": True}
    assert answer.strategy == recommendation_pb2.STRATEGY_PERSONALISED
    assert [(item.id, item.title, item.HasField("title"), item.score) for item in answer.items] == [
        ("50", "Ferry", True, 0.5), ("7", "", False, 0.25),
    ]  # fmt: skip
    assert list(answer.unknown_items) == ["x"]


async def test_a_text_that_is_empty_is_named(tmp_path: Path) -> None:
    async with (
        engine(answers) as upstream, running(registry(upstream.url), tmp_path) as gateway, calling(gateway) as client,
    ):  # fmt: skip
        for given in (["good", " "], []):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.sentiment.Analyze(sentiment_pb2.AnalyzeRequest(input=given), metadata=METADATA)
            assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
            assert details(caught.value).field == ("input[1]" if given else "input")
        assert upstream.received == []
