"""The sentiment service on BentoML: `python -m bentoml serve services.sentiment.service:Sentiment`.

A request passes two routes in one process. `POST /analyze` checks it and answers in this project's terms; what it lets
through goes to the batched route, where BentoML gathers the texts of concurrent requests. An exception there would fail
every request of the batch, so nothing that could raise one gets that far.
"""

import os
from typing import Annotated

import bentoml
from bentoml.exceptions import BentoMLException, ServiceUnavailable
from pydantic import Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.common.errors import BodyTooLarge, InternalError, NaruError, Unavailable, UpstreamTimeout
from services.sentiment.contract import Limits, answer, parse, refusal
from services.sentiment.model import SentimentModel
from services.sentiment.settings import Settings

# BentoML reads this once, when a server starts, and would report the start to its makers otherwise.
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

settings = Settings().sentiment
_limits = Limits(settings.max_texts, settings.max_characters)
_WARM_UP = ["a good film", "좋은 영화"]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


async def analyze(request: Request) -> JSONResponse:
    try:
        texts = parse(await _body(request), _limits)
        probabilities = await _classify(texts)
    except NaruError as error:
        headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
        return JSONResponse(refusal(error), error.http_status, headers)
    return JSONResponse(answer(settings.model, settings.version, probabilities))


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > settings.max_body:
            raise BodyTooLarge(f"the body has more than {settings.max_body} bytes")
    return bytes(body)


async def _classify(texts: list[str]) -> list[list[float]]:
    service = bentoml.get_current_service()
    try:
        rows: list[list[float]] = await service.to_async.classify(texts)
    except ServiceUnavailable as error:
        raise Unavailable("the service is overloaded; try again", retry_after=1) from error
    except BentoMLException as error:
        if error.error_code == 504:
            raise UpstreamTimeout(f"no answer within {settings.timeout:g} seconds") from error
        raise InternalError("the model failed; the service's log says why") from error
    return rows


@bentoml.service(
    name="sentiment",
    workers=1,
    traffic={"timeout": settings.timeout},
    # Set for the worker process before it loads numpy, which reads them once.
    envs=[{"name": name, "value": str(settings.threads)} for name in _THREADS],
)
@bentoml.asgi_app(Starlette(routes=[Route("/analyze", analyze, methods=["POST"])]), path="/")
class Sentiment:
    def __init__(self) -> None:
        self._model = SentimentModel.load()
        self._model(_WARM_UP)

    @bentoml.api(  # type: ignore[untyped-decorator]
        route="/internal/classify",
        batchable=True,
        max_batch_size=settings.batch_texts,
        max_latency_ms=int(settings.max_latency * 1000),
    )
    def classify(self, texts: Annotated[list[str], Field(max_length=settings.max_texts)]) -> list[list[float]]:
        """Probabilities of negative, neutral and positive per text. For `/analyze` alone: it checks nothing."""
        rows: list[list[float]] = self._model(texts).tolist()
        return rows
