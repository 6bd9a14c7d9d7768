"""The labelled sentences the head is trained on and scored with.

English: Hutto and Gilbert (ICWSM 2014), sentences that twenty people rated from -4 to 4. Korean: the Naver Sentiment
Movie Corpus, film reviews with the stars their writers gave.
"""

import csv
import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from services.common.packages import PackageFile

HUTTO = PackageFile(
    name="vaderSentiment",
    version="0.5",
    filename="vaderSentiment-0.5.zip",
    sha256="5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
)
NEUTRAL_BELOW = 0.5  # a mean rating nearer to nought than this is neutral
_ARCHIVE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
_SENTENCES = "_GroundTruth.txt"
_KOREAN_LABELS = {"0": 0, "2": 1, "1": 2}  # the corpus' label to the index of negative, neutral, positive


class UnreadableCorpusError(ValueError):
    """A file of labelled sentences does not look as described in this service's README."""


@dataclass(frozen=True)
class Corpus:
    """Sentences with the index of their label and, where people rated them, the mean rating."""

    texts: list[str]
    labels: NDArray[np.int64]
    ratings: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class _Sentence:
    group: str
    rating: float
    text: str

    @property
    def held_out(self) -> bool:
        """One group in five: sentences of one review or article never stand on both sides."""
        return zlib.crc32(self.group.encode()) % 5 == 0


def english() -> tuple[Corpus, Corpus]:
    """Training and held-out sentences, fetched through the package registry."""
    sentences = list(_sentences(HUTTO.fetch()))
    return (
        _rated([sentence for sentence in sentences if not sentence.held_out]),
        _rated([sentence for sentence in sentences if sentence.held_out]),
    )


def korean(path: Path) -> Corpus:
    """A gzipped TSV with the columns label, movie_id, rating, text. Raises UnreadableCorpusError where it is not."""
    with gzip.open(path, "rt", encoding="utf-8", newline="\n") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not rows or not {"label", "text"} <= rows[0].keys():
        raise UnreadableCorpusError(f"{path} lacks the columns label and text")
    unknown = {row["label"] for row in rows} - _KOREAN_LABELS.keys()
    if unknown:
        raise UnreadableCorpusError(f"{path} has labels {sorted(unknown)}, expected 0, 1 and 2")
    labels = np.array([_KOREAN_LABELS[row["label"]] for row in rows])
    return Corpus([row["text"].rstrip("\n") for row in rows], labels)


def _rated(sentences: list[_Sentence]) -> Corpus:
    ratings = np.array([sentence.rating for sentence in sentences])
    labels = np.where(np.abs(ratings) < NEUTRAL_BELOW, 1, np.where(ratings < 0, 0, 2))
    return Corpus([sentence.text for sentence in sentences], labels, ratings)


def _sentences(package: Path) -> Iterator[_Sentence]:
    with zipfile.ZipFile(package) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(_ARCHIVE))) as inner:
        for member in inner:
            file = inner.extractfile(member)
            if file is None or not member.name.endswith(_SENTENCES):
                continue
            source = Path(member.name).name.removesuffix(_SENTENCES)
            for line in file.read().decode("latin-1").splitlines():
                identifier, rating, text = line.split("\t", 2)
                yield _Sentence(f"{source}:{identifier.split('_')[0]}", float(rating), text)
