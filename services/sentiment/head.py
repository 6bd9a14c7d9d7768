"""The trained part: a logistic regression over embeddings and n-grams, small enough to live beside its code.

Logits of a text, with e its embedding and g its n-gram logits: W e + A g + b, where W, A and b belong to the script
the text is written in (Hangul or not). Labels are in the order negative, neutral, positive throughout.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from services.sentiment.ngrams import NgramHasher
from services.sentiment.tensors import read_tensors, write_tensors
from services.sentiment.weights import Array

LABELS = ("negative", "neutral", "positive")
SCRIPTS = ("other", "hangul")
FOLDER = Path(__file__).parent / "head"


@dataclass(frozen=True)
class NgramWeights:
    """Logits of negative and positive against neutral, one byte a weight."""

    hasher: NgramHasher
    weight: NDArray[np.int8]  # [buckets, 2]
    scale: Array  # [2]: what one step of a weight is worth
    bias: Array  # [2]

    @classmethod
    def quantise(cls, hasher: NgramHasher, weight: Array, bias: Array) -> Self:
        """`weight` [3, buckets] and `bias` [3] of a three-class model; softmax only sees their differences."""
        difference = (weight - weight[1])[[0, 2]].T
        # Beyond five deviations there are few weights, and cutting them leaves the others a finer step.
        scale = 5 * difference.std(axis=0) / 127
        steps = np.clip(np.rint(difference / scale), -127, 127).astype(np.int8)
        return cls(hasher, steps, scale.astype(np.float32), (bias - bias[1])[[0, 2]].astype(np.float32))

    def __call__(self, texts: list[str]) -> Array:
        """[texts, 3], each row summing to nought."""
        logits = np.zeros((len(texts), 3), np.float32)
        for row, text in zip(logits, texts, strict=True):
            buckets, values = self.hasher(text)
            row[[0, 2]] = values @ self.weight[buckets] * self.scale + self.bias
        return centre(logits)


@dataclass(frozen=True)
class Linear:
    embedding: Array  # [width, 3]
    ngrams: Array  # [3, 3]
    bias: Array  # [3]

    def __call__(self, embeddings: Array, ngrams: Array) -> Array:
        logits: Array = embeddings @ self.embedding + ngrams @ self.ngrams + self.bias
        return logits


@dataclass(frozen=True)
class Head:
    layers: tuple[int, ...]
    ngrams: NgramWeights
    by_script: dict[str, Linear]

    @classmethod
    def load(cls, folder: Path) -> Self:
        settings: dict[str, Any] = json.loads((folder / "metadata.json").read_text())["settings"]
        tensors = read_tensors(folder / "head.safetensors")
        hasher = NgramHasher(settings["buckets"], settings["longest_ngram"])
        ngrams = NgramWeights(hasher, tensors["ngrams.weight"], tensors["ngrams.scale"], tensors["ngrams.bias"])
        names = ("embedding", "ngrams", "bias")
        linear = {
            script: Linear(*(tensors[f"{script}.{name}"].astype(np.float32) for name in names)) for script in SCRIPTS
        }
        return cls(tuple(settings["layers"]), ngrams, linear)

    def save(self, folder: Path, metadata: dict[str, Any]) -> None:
        tensors: dict[str, NDArray[Any]] = {
            "ngrams.weight": self.ngrams.weight,
            "ngrams.scale": self.ngrams.scale,
            "ngrams.bias": self.ngrams.bias,
        }
        for script, linear in self.by_script.items():
            tensors[f"{script}.embedding"] = linear.embedding.astype(np.float16)
            tensors[f"{script}.ngrams"] = linear.ngrams
            tensors[f"{script}.bias"] = linear.bias
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / "head.safetensors", tensors)
        (folder / "metadata.json").write_text(json.dumps(metadata, indent=2, ensure_ascii=False) + "\n")

    def probabilities(self, texts: list[str], embeddings: Array) -> Array:
        """[texts, 3], each row summing to one."""
        ngrams = self.ngrams(texts)
        scripts = np.array([script_of(text) for text in texts])
        logits = np.empty((len(texts), 3), np.float32)
        for script, linear in self.by_script.items():
            rows = scripts == script
            logits[rows] = linear(embeddings[rows], ngrams[rows])
        return softmax(logits)


def script_of(text: str) -> str:
    """`hangul` where at least half of the letters are Hangul, syllables or single jamo."""
    letters = [character for character in text if character.isalpha()]
    hangul = sum("\uac00" <= letter <= "\ud7a3" or "\u3131" <= letter <= "\u318e" for letter in letters)
    return "hangul" if 0 < len(letters) <= 2 * hangul else "other"


def centre(logits: Array) -> Array:
    centred: Array = logits - logits.mean(axis=1, keepdims=True)
    return centred


def softmax(logits: Array) -> Array:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Array = raised / raised.sum(axis=1, keepdims=True)
    return shares


def held_out(folder: Path = FOLDER) -> dict[str, float]:
    """The head's accuracies on texts that it was not trained on, by language and number of classes."""
    languages = json.loads((folder / "metadata.json").read_text())["held_out"].items()
    kinds = ("three_class_accuracy", "binary_accuracy")
    return {f"{language}_{kind}": scores[kind] for language, scores in languages for kind in kinds}
