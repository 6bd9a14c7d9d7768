"""Embed a corpus once: chunks of embeddings in the cache, so that an interrupted training goes on where it stopped."""

import hashlib
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.common.packages import sha256_of
from services.common.paths import cache_dir
from services.sentiment.encoder import Encoder
from services.sentiment.weights import Array

_CHUNK = 1500


class EmbeddingCache:
    def __init__(self, encoder: Encoder, weights: Path, layers: Sequence[int]) -> None:
        self._encoder = encoder
        self._folder = cache_dir() / "sentiment" / "embeddings"
        self._key = f"{sha256_of(weights)} {list(layers)}"

    def __call__(self, texts: Sequence[str]) -> Array:
        """[texts, width], kept at half precision."""
        self._folder.mkdir(parents=True, exist_ok=True)
        begun, parts = time.monotonic(), []
        for start in range(0, len(texts), _CHUNK):
            parts.append(self._chunk(texts[start : start + _CHUNK]))
            done = min(start + _CHUNK, len(texts))
            rate = done / (time.monotonic() - begun)
            sys.stderr.write(f"embedded {done} of {len(texts)} texts, {rate:.0f} a second\n")
        return np.concatenate(parts).astype(np.float32)

    def _chunk(self, texts: Sequence[str]) -> Array:
        digest = hashlib.sha256("\0".join([self._key, *texts]).encode()).hexdigest()
        path = self._folder / f"{digest}.npy"
        if not path.exists():
            scratch = path.with_suffix(".partial")
            with scratch.open("wb") as file:
                np.save(file, self._encoder(texts).astype(np.float16))
            scratch.replace(path)
        embeddings: Array = np.load(path)
        return embeddings
