"""The sentiment model: encoder and head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from services.sentiment.encoder import Encoder
from services.sentiment.head import FOLDER, Head
from services.sentiment.weights import Array, packaged


class SentimentModel:
    def __init__(self, encoder: Encoder, head: Head) -> None:
        self._encoder = encoder
        self._head = head

    @classmethod
    def load(cls, folder: Path = FOLDER) -> Self:
        head = Head.load(folder)
        return cls(Encoder.load(packaged(), head.layers), head)

    def __call__(self, texts: Sequence[str]) -> Array:
        """Probabilities [texts, 3] of negative, neutral and positive; any text without lone surrogates is fine."""
        texts = list(texts)
        return self._head.probabilities(texts, self._encoder(texts))
