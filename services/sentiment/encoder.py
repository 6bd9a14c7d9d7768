"""Sentence embeddings from multilingual-e5-small in numpy, on one core or as many as its BLAS is given.

Texts of similar length run together, their tokens stacked into one matrix, so that each weight is read once per group
and padding costs attention only. The forward pass is BERT's (Devlin et al. 2019) with post-layer normalisation.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from services.sentiment.tokenizer import Tokenizer
from services.sentiment.weights import Array, PackedWeights, dequantise

_PREFIX = "query: "  # what the E5 model card asks for where texts are classified
_ROWS = 128  # rows of an activation that stay in the second-level cache together


@dataclass(frozen=True)
class _Linear:
    weight: Array  # [in, out]
    bias: Array

    def __call__(self, x: Array) -> Array:
        y: Array = x @ self.weight
        y += self.bias
        return y


@dataclass(frozen=True)
class _Normalise:
    weight: Array
    bias: Array
    epsilon: float

    def __call__(self, x: Array) -> Array:
        x -= x.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1]
        x /= np.sqrt(variance + self.epsilon)
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True)
class _Layer:
    projections: _Linear  # query, key and value side by side
    attention: _Linear
    attention_norm: _Normalise
    inner: _Linear
    outer: _Linear
    outer_norm: _Normalise


class Encoder:
    """[n] texts to [n, width] features: mean-pooled hidden states after the chosen layers, each of unit length."""

    def __init__(self, weights: PackedWeights, layers: Sequence[int], tokens_per_group: int = 1024) -> None:
        shape = weights.shape
        self.width = shape.hidden * len(layers)
        self._taps = tuple(layers)
        self._heads = shape.heads
        self._tokens_per_group = tokens_per_group
        self._tokenizer = Tokenizer(weights.vocabulary, shape.positions)
        self._words = weights.blocks("emb.word", shape.hidden)
        self._positions = weights.vector("emb.pos").reshape(-1, shape.hidden)
        self._positions += weights.vector("emb.type")[: shape.hidden]
        self._norm = _Normalise(weights.vector("emb.ln.w"), weights.vector("emb.ln.b"), shape.epsilon)
        self._layers = [_layer(weights, i) for i in range(max(layers))]

    @classmethod
    def load(cls, path: Path, layers: Sequence[int]) -> Self:
        return cls(PackedWeights.load(path), layers)

    def __call__(self, texts: Sequence[str]) -> Array:
        """Features in the order of `texts`; tokens past the model's 512 are cut."""
        tokens = [self._tokenizer(_PREFIX + text.strip()) for text in texts]
        features = np.empty((len(texts), self.width), np.float32)
        for group in self._groups(tokens):
            features[group] = self._forward([tokens[i] for i in group])
        return features

    def _groups(self, tokens: list[list[int]]) -> Iterator[list[int]]:
        """Indices by rising length, so many at a time that a group's padded size stays bounded."""
        group: list[int] = []
        for i in sorted(range(len(tokens)), key=lambda i: len(tokens[i])):
            if group and (len(group) + 1) * len(tokens[i]) > self._tokens_per_group:
                yield group
                group = []
            group.append(i)
        if group:
            yield group

    def _forward(self, tokens: list[list[int]]) -> Array:
        lengths = np.array([len(ids) for ids in tokens])
        real = np.arange(lengths.max()) < lengths[:, None]  # [texts, longest]
        x = dequantise(self._words[np.concatenate(tokens)])
        x += self._positions[np.nonzero(real)[1]]
        x = self._norm(x)
        starts = np.concatenate([[0], lengths.cumsum()[:-1]])
        pooled = []
        for number, layer in enumerate(self._layers, start=1):
            x = self._block(layer, x, real)
            if number in self._taps:
                pooled.append(_unit(np.add.reduceat(x, starts, axis=0)))
        return np.concatenate(pooled, axis=1)

    def _block(self, layer: _Layer, x: Array, real: NDArray[np.bool_]) -> Array:
        attended = layer.attention(self._attend(layer.projections(x), real))
        attended += x
        x = layer.attention_norm(attended)
        y = layer.outer(_gelu(layer.inner(x)))
        y += x
        return layer.outer_norm(y)

    def _attend(self, projections: Array, real: NDArray[np.bool_]) -> Array:
        """Self-attention within each text; padding exists only inside this function."""
        texts, longest = real.shape
        padded = np.zeros((*real.shape, projections.shape[1]), np.float32)
        padded[real] = projections
        split = padded.reshape(texts, longest, 3, self._heads, -1).transpose(2, 0, 3, 1, 4)
        query, key, value = split
        scores = query @ key.swapaxes(2, 3)
        scores *= 1 / math.sqrt(query.shape[-1])
        scores += np.where(real, 0, -np.inf).astype(np.float32)[:, None, None, :]
        scores -= scores.max(axis=-1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=-1, keepdims=True)
        merged: Array = (scores @ value).transpose(0, 2, 1, 3)[real].reshape(len(projections), -1)
        return merged


def _gelu(x: Array) -> Array:
    """In place, x * sigmoid(2u) with u = sqrt(2/pi)(x + 0.044715 x^3), the tanh form (Hendrycks and Gimpel 2016)."""
    scale = np.float32(-2 * math.sqrt(2 / math.pi))
    for start in range(0, len(x), _ROWS):
        rows = x[start : start + _ROWS]
        gate = rows * rows
        gate *= scale * np.float32(0.044715)
        gate += scale
        gate *= rows
        np.minimum(gate, 80, out=gate)  # exp(89) is past float32; the gate is nought long before
        np.exp(gate, out=gate)
        gate += 1
        rows /= gate
    return x


def _unit(x: Array) -> Array:
    x /= np.sqrt(np.einsum("ij,ij->i", x, x))[:, None]
    return x


def _layer(weights: PackedWeights, number: int) -> _Layer:
    shape = weights.shape

    def linear(names: Sequence[str], columns: int) -> _Linear:
        matrix = np.concatenate([weights.matrix(f"l{number}.{name}.w", columns) for name in names])
        bias = np.concatenate([weights.vector(f"l{number}.{name}.b") for name in names])
        return _Linear(np.ascontiguousarray(matrix.T), bias)

    def norm(name: str) -> _Normalise:
        return _Normalise(weights.vector(f"l{number}.{name}.w"), weights.vector(f"l{number}.{name}.b"), shape.epsilon)

    return _Layer(
        projections=linear(["q", "k", "v"], shape.hidden),
        attention=linear(["ao"], shape.hidden),
        attention_norm=norm("aln"),
        inner=linear(["fi"], shape.hidden),
        outer=linear(["fo"], shape.feed_forward),
        outer_norm=norm("oln"),
    )
