"""From a query to an answer: which history, which strategy, which items."""

from typing import Any

import numpy as np

from services.recommendation.data import Ints
from services.recommendation.model import Recommender, top
from services.recommendation.query import Query

Answer = dict[str, Any]


class Answerer:
    """Answers queries from one model; `name` and `version` are what the answers carry."""

    def __init__(self, model: Recommender, name: str, version: str) -> None:
        self._model = model
        self._name = name
        self._version = version
        self._index = {item: n for n, item in enumerate(model.items)}

    def answer(self, query: Query) -> Answer:
        stored = self._model.histories.get(query.user_id) if query.user_id is not None else None
        given = [self._index[item] for item in query.history if item in self._index]
        history = _joined(stored, given)
        strategy = "personalised" if stored is not None else "history" if given else "popular"
        scores = self._model.popularity if strategy == "popular" else self._model.scores(history)
        best = top(scores, query.k, excluded=history if query.exclude_seen else ())
        return {
            "model": self._name,
            "version": self._version,
            "strategy": strategy,
            "items": [self._item(int(n), float(scores[n])) for n in best],
            "unknown_items": [item for item in dict.fromkeys(query.history) if item not in self._index],
        }

    def _item(self, index: int, score: float) -> dict[str, Any]:
        item = self._model.items[index]
        title = self._model.titles.get(item)
        return {"id": item, **({"title": title} if title is not None else {}), "score": score}


def _joined(stored: Ints | None, given: list[int]) -> Ints:
    """The stored history followed by the given one, each item once, at its newest place."""
    items = [*(stored.tolist() if stored is not None else []), *given]
    newest_first = dict.fromkeys(reversed(items))
    return np.array(list(newest_first)[::-1], dtype=np.int64)
