"""The BentoML service: `python -m services.recommendation`.

BentoML imports this module and starts the class in one worker process, so reading the settings here is the
composition root. The worker's port answers only after `__init__`, hence `/readyz` is true only with a loaded model.
"""

import sys
from typing import Any

import bentoml

from services.common import quality
from services.common.batch_contract import BatchContract
from services.common.bento import tracing
from services.recommendation.answer import Answerer
from services.recommendation.model import ModelMissingError, Recommender
from services.recommendation.query import Limits, Query, parse
from services.recommendation.settings import Settings
from services.recommendation.tables import DataError
from services.recommendation.train import model_folder

SECTION = Settings().recommendation
_THREADS = [{"name": name, "value": str(SECTION.threads)} for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")]


@bentoml.service(
    name=SECTION.model,
    workers=1,
    threads=1,
    envs=_THREADS,
    http={"host": SECTION.host, "port": SECTION.port},
    traffic={"timeout": SECTION.timeout_s},
    logging={"access": {"enabled": SECTION.access_log}},
    tracing=tracing(SECTION.traces),
)
class Recommendation:
    @bentoml.on_deployment  # type: ignore[untyped-decorator]
    @staticmethod
    def check() -> None:
        """Runs once before a worker starts: a worker that finds no model would be restarted for ever."""
        try:
            Recommender.load(model_folder(SECTION))
        except (ModelMissingError, DataError) as error:
            sys.exit(f"error: {error}")

    def __init__(self) -> None:
        model = Recommender.load(model_folder(SECTION))
        self._answerer = Answerer(model, SECTION.model, SECTION.version)
        scores = model.metadata["scores"]["model"]
        quality.publish(SECTION.model, SECTION.version, {f"{name}_at_10": scores[name] for name in ("recall", "ndcg")})

    @bentoml.api(  # type: ignore[untyped-decorator]  # BentoML's own decorator has no types
        route="/recommend",
        batchable=True,
        max_batch_size=SECTION.max_batch_size,
        max_latency_ms=SECTION.max_latency_ms,
    )
    def recommend(self, queries: list[Query], /) -> list[dict[str, Any]]:
        """Answers in the order of the queries; no query can fail, BatchContract has checked each."""
        return [self._answerer.answer(query) for query in queries]


def _items(body: bytes) -> list[dict[str, Any]]:
    limits = Limits(max_k=SECTION.max_k, max_history=SECTION.max_history)
    return [parse(body, limits).model_dump()]


# The decorator made a `bentoml.Service` of the class, which its types do not say.
Recommendation.add_asgi_middleware(  # type: ignore[attr-defined]
    BatchContract,
    path="/recommend",
    parse=_items,
    answer=lambda answers: answers[1:-1],  # a list of the one answer
    max_body=SECTION.max_body_bytes,
)
