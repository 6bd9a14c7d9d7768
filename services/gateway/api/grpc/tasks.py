"""The task models' services: their HTTP surfaces' bodies, typed."""

from typing import TypeVar

import msgspec

from services.common.errors import UpstreamError
from services.common.pb.naru.v1 import recommendation_pb2, sentiment_pb2
from services.gateway.api.grpc.values import words
from services.gateway.api.grpc.visit import Visit
from services.gateway.api.tasks import SURFACES, TaskSurface
from services.gateway.registry import Task

T = TypeVar("T")

LABELS = words(sentiment_pb2.SentimentLabel)
STRATEGIES = words(recommendation_pb2.Strategy)


class _Result(msgspec.Struct):
    label: str
    score: float
    scores: dict[str, float]


class _Analysis(msgspec.Struct):
    model: str
    version: str
    results: list[_Result]


class _Item(msgspec.Struct):
    id: str
    score: float
    title: str | None = None


class _Recommendation(msgspec.Struct):
    model: str
    version: str
    strategy: str
    items: list[_Item]
    unknown_items: list[str] = []


def surface(task: Task) -> TaskSurface:
    return next(surface for surface in SURFACES if surface.task is task)


class SentimentServicer:
    _surface = surface(Task.SENTIMENT)

    async def Analyze(  # noqa: N802 - the method's name in the proto
        self, request: sentiment_pb2.AnalyzeRequest, visit: Visit
    ) -> sentiment_pb2.AnalyzeResponse:
        model = request.model if request.HasField("model") else None
        whole = await visit.ask(self._surface, lambda: _body(model, input=list(request.input)))
        found = _read(whole.body, _Analysis)
        return sentiment_pb2.AnalyzeResponse(
            model=found.model, version=found.version, results=[_result(result) for result in found.results]
        )


class RecommendationServicer:
    _surface = surface(Task.RECOMMENDATION)

    async def Recommend(  # noqa: N802
        self, request: recommendation_pb2.RecommendRequest, visit: Visit
    ) -> recommendation_pb2.RecommendResponse:
        given = {name: getattr(request, name) for name in ("user_id", "k", "exclude_seen") if request.HasField(name)}
        if request.history:
            given["history"] = list(request.history)
        body = _body(request.model if request.HasField("model") else None, **given)
        whole = await visit.ask(self._surface, lambda: body)
        found = _read(whole.body, _Recommendation)
        return recommendation_pb2.RecommendResponse(
            model=found.model, version=found.version, strategy=STRATEGIES.get(found.strategy),
            items=[recommendation_pb2.RecommendedItem(id=i.id, title=i.title, score=i.score) for i in found.items],
            unknown_items=found.unknown_items,
        )  # fmt: skip


def _body(model: str | None, **fields: object) -> bytes:
    return msgspec.json.encode(fields if model is None else {"model": model, **fields})


def _read(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError:
        raise UpstreamError("the model's answer is not what its task answers") from None


def _result(found: _Result) -> sentiment_pb2.Sentiment:
    return sentiment_pb2.Sentiment(label=LABELS.get(found.label), score=found.score, scores=found.scores)
