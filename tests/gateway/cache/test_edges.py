"""The cache answers over gRPC and the Open Inference Protocol as it does over HTTP."""

from pathlib import Path
from typing import Any

from services.common.pb.naru.v1 import chat_pb2 as pb
from services.common.pb.naru.v1 import sentiment_pb2
from tests.gateway.cache.asking import answering, cached
from tests.gateway.grpc.client import METADATA, asking, calling, drained
from tests.gateway.oip import models
from tests.support.engine import engine
from tests.support.gateway import running


async def told(call: Any) -> str:
    """What the cache said of an RPC."""
    said: str = dict(await call.trailing_metadata())["x-naru-cache"]
    return said


def sentiment(url: str) -> dict[str, Any]:
    versions = {"v1": {"endpoints": [url]}}
    return {"models": {"sentiment": {"task": "sentiment", "versions": versions, "cache": {}}}}


async def test_a_whole_and_a_streamed_chat_over_grpc(tmp_path: Path) -> None:
    chat = asking(temperature=0, seed=7)
    async with (
        engine(answering()) as one, running(cached(one.url), tmp_path) as gateway, calling(gateway) as client,
    ):  # fmt: skip
        whole = client.chat.Chat(chat, metadata=METADATA)
        first = await whole
        again = client.chat.Chat(chat, metadata=METADATA)
        assert await again == first
        assert [await told(whole), await told(again)] == ["miss", "hit"]
        request = pb.StreamChatRequest(chat=chat)
        streams = []
        for result in ("miss", "hit"):
            call = client.chat.StreamChat(request, metadata=METADATA)
            streams.append(await drained(call))
            assert await told(call) == result
        assert streams[0] == streams[1]
        uncached = client.chat.Chat(chat, metadata=(*METADATA, ("cache-control", "no-store")))
        assert await uncached != first
        assert await told(uncached) == "bypass"


async def test_one_answer_serves_every_edge(tmp_path: Path) -> None:
    async with (
        engine(models.sentiment) as one, running(sentiment(one.url), tmp_path) as gateway, calling(gateway) as client,
    ):  # fmt: skip
        made = await gateway.http.post("/v1/sentiment", json={"input": ["good"]})
        rpc = client.sentiment.Analyze(sentiment_pb2.AnalyzeRequest(input=["good"]), metadata=METADATA)
        assert (await rpc).results[0].label == sentiment_pb2.SENTIMENT_LABEL_POSITIVE
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["good"]}
        inferred = await gateway.http.post("/v2/models/sentiment/infer", json={"inputs": [tensor]})
        assert inferred.json()["outputs"][0]["data"] == ["positive"]
        said = [made.headers["x-naru-cache"], await told(rpc), inferred.headers["x-naru-cache"]]
        assert said == ["miss", "hit", "hit"]
        assert len(one.received) == 1
