"""The sentiment service on BentoML: `python -m bentoml serve services.sentiment.service:Sentiment`."""

import bentoml
from bentoml.metrics import Histogram

from services.sentiment.batching import Batcher
from services.sentiment.edge import AnalyzeEdge
from services.sentiment.model import SentimentModel
from services.sentiment.settings import Settings

settings = Settings().sentiment
_WARM_UP = ["a good film", "좋은 영화"]
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_SIZES = [float(2**i) for i in range(10)]


def _batcher() -> Batcher:
    batcher: Batcher = bentoml.get_current_service().batcher
    return batcher


@bentoml.service(
    name="sentiment",
    workers=1,
    traffic={"timeout": settings.timeout + 5},  # the service's own deadline answers first, in its own words
    # Set for the worker process before it loads numpy, which reads them once.
    envs=[{"name": name, "value": str(settings.threads)} for name in _THREADS],
)
@bentoml.asgi_app(AnalyzeEdge(settings, _batcher).application(), path="/")
class Sentiment:
    """Ready once the model is loaded and warm: BentoML accepts nothing before the constructor returned."""

    def __init__(self) -> None:
        self._model = SentimentModel.load()
        self._requests = Histogram("sentiment_batch_requests", "Requests in a batch", buckets=_SIZES)
        self._texts = Histogram("sentiment_batch_texts", "Texts in a batch", buckets=_SIZES)
        self.batcher = Batcher(self._classify, settings.batch_texts, self._observe)
        self._classify(_WARM_UP)

    def _classify(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self._model(texts).tolist()
        return rows

    def _observe(self, requests: int, texts: int) -> None:
        self._requests.observe(requests)
        self._texts.observe(texts)
