"""Hashed character n-grams: what a text literally says, beside what the encoder makes of it.

The hashing trick (Weinberger et al. 2009): an n-gram's CRC-32 chooses its bucket and, with one further bit, its sign,
so that colliding n-grams cancel rather than add up. Nothing needs to be stored but one weight a bucket.
"""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_SIGN = 1 << 31


@dataclass(frozen=True)
class NgramHasher:
    """N-grams of up to `longest` characters within words (a space marks a word's edges), in `buckets` buckets."""

    buckets: int
    longest: int

    def __call__(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Bucket indices and their values: signed square roots of counts, of unit length together."""
        counts = Counter(zlib.crc32(gram.encode()) for gram in self._grams(text))
        hashes = np.fromiter(counts, np.int64, len(counts))
        values = np.sqrt(np.fromiter(counts.values(), np.float32, len(counts)))
        values /= max(float(np.linalg.norm(values)), 1e-9)
        values[hashes & _SIGN != 0] *= -1
        return hashes % self.buckets, values

    def matrix(self, texts: Sequence[str]) -> "csr_array":
        """[texts, buckets], for training; serving gets by without scipy."""
        from scipy.sparse import csr_array  # noqa: PLC0415

        rows = [self(text) for text in texts]
        ends = np.cumsum([0, *(len(buckets) for buckets, _ in rows)])
        buckets, values = (np.concatenate(part) for part in zip(*rows, strict=True))
        return csr_array((values, buckets, ends), shape=(len(texts), self.buckets))

    def _grams(self, text: str) -> Iterator[str]:
        for word in unicodedata.normalize("NFKC", text).lower().split():
            padded = f" {word} "
            for size in range(1, self.longest + 1):
                for start in range(len(padded) - size + 1):
                    yield padded[start : start + size]
