"""Held-out scores, for three classes and for two.

Binary scores leave out the rows whose own label is neutral and compare only the two polar probabilities of the rest.
Where sentences have a mean rating, `sign_*` scores every row whose rating is not exactly nought by the rating's sign:
there is no neutral band, so nearly balanced sentences count as well.
"""

import numpy as np
from numpy.typing import NDArray

from services.sentiment.data import Corpus
from services.sentiment.head import Head
from services.sentiment.weights import Array


def evaluate(head: Head, corpus: Corpus, embeddings: Array) -> dict[str, float]:
    probabilities = head.probabilities(corpus.texts, embeddings)
    polar = corpus.labels != 1
    positive = probabilities[:, 2] > probabilities[:, 0]
    scores = _scores("three_class", corpus.labels, probabilities.argmax(axis=1))
    scores |= _scores("binary", corpus.labels[polar] == 2, positive[polar])
    if corpus.ratings is not None:
        rated = corpus.ratings != 0
        scores |= _scores("sign", corpus.ratings[rated] > 0, positive[rated])
    return scores


def _scores(name: str, truth: NDArray[np.generic], guess: NDArray[np.generic]) -> dict[str, float]:
    return {
        f"{name}_rows": len(truth),
        f"{name}_accuracy": round(float(np.mean(truth == guess)), 4),
        f"{name}_macro_f1": round(macro_f1(truth, guess), 4),
    }


def macro_f1(truth: NDArray[np.generic], guess: NDArray[np.generic]) -> float:
    """The mean over classes of 2 TP / (2 TP + FP + FN)."""
    scores = []
    for label in np.unique(truth):
        hits = np.sum((truth == label) & (guess == label))
        scores.append(2 * hits / (np.sum(truth == label) + np.sum(guess == label)))
    return float(np.mean(scores))
