"""The sentiment service on BentoML: `python -m services.sentiment`.

BentoML imports this module and starts the class in one worker process, so reading the settings here is the
composition root. Its adaptive batching gathers the texts of concurrent requests, and splits a request of many.
"""

import json

import bentoml

from services.common import quality
from services.common.batch_contract import BatchContract
from services.common.bento import tracing
from services.sentiment.contract import Limits, answer, parse
from services.sentiment.head import held_out
from services.sentiment.model import SentimentModel
from services.sentiment.settings import Settings

settings = Settings().sentiment
_limits = Limits(settings.max_texts, settings.max_characters, settings.max_total_characters)
_WARM_UP = ["a good film", "좋은 영화"]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@bentoml.service(
    name="sentiment",
    workers=1,
    threads=1,
    traffic={"timeout": settings.timeout},
    tracing=tracing(settings.traces),
    # Set for the worker process before it loads numpy, which reads them once.
    envs=[{"name": name, "value": str(settings.threads)} for name in _THREADS],
)
class Sentiment:
    """Ready once the model is loaded and warm: BentoML accepts nothing before the constructor returned."""

    def __init__(self) -> None:
        self._model = SentimentModel.load()
        self._model(_WARM_UP)
        quality.publish(settings.model, settings.version, held_out())

    @bentoml.api(  # type: ignore[untyped-decorator]  # BentoML's own decorator has no types
        route="/analyze",
        batchable=True,
        max_batch_size=settings.batch_texts,
        max_latency_ms=int(settings.max_latency * 1000),
    )
    def analyze(self, texts: list[str], /) -> list[list[float]]:
        """Probabilities of negative, neutral and positive per text; no text can fail, BatchContract checked each."""
        rows: list[list[float]] = self._model(texts).tolist()
        return rows


def _contract(rows: bytes) -> bytes:
    return json.dumps(answer(settings.model, settings.version, json.loads(rows)), ensure_ascii=False).encode()


# The decorator made a `bentoml.Service` of the class, which its types do not say.
Sentiment.add_asgi_middleware(  # type: ignore[attr-defined]
    BatchContract,
    path="/analyze",
    parse=lambda body: parse(body, _limits),
    answer=_contract,
    max_body=settings.max_body,
)
