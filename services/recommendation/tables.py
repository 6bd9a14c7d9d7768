"""Read columns of a CSV, TSV or Parquet file as text."""

import csv
import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


class DataError(ValueError):
    """The interactions cannot be used; the message names the file or column and the remedy."""


Columns = list[list[str]]


def read_table(path: Path, names: Sequence[str]) -> Columns:
    """The named columns, each a list of strings in row order. Raises DataError naming what is missing."""
    if not path.is_file():
        raise DataError(f"{path}: no such file; set NARU_RECOMMENDATION__DATA__SOURCE (or __TITLES) to a table")
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        return _read_parquet(path, names)
    if suffix not in _DELIMITERS:
        raise DataError(f"{path}: expected a name that ends in .csv, .tsv or .parquet")
    return read_delimited(path.read_text(encoding="utf-8-sig"), names, _DELIMITERS[suffix], str(path))


def read_delimited(text: str, names: Sequence[str], delimiter: str, label: str) -> Columns:
    """The named columns of delimited text whose first line is the header; `label` stands for the file in errors."""
    rows = csv.reader(io.StringIO(text), delimiter=delimiter)
    places = _places(next(rows, []), names, label)
    columns: Columns = [[] for _ in names]
    for row in rows:
        if not row:
            continue
        if len(row) <= max(places):
            raise DataError(f"{label}: line {rows.line_num} has {len(row)} fields, too few for the header")
        for column, place in zip(columns, places, strict=True):
            column.append(row[place])
    return columns


def _places(header: Sequence[str], names: Sequence[str], label: str) -> list[int]:
    missing = [name for name in names if name not in header]
    if missing:
        raise DataError(
            f"{label}: no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, header)) or 'none'}."
            " Name the columns in NARU_RECOMMENDATION__DATA__USER_COLUMN, __ITEM_COLUMN, __TIME_COLUMN"
        )
    return [header.index(name) for name in names]


def _read_parquet(path: Path, names: Sequence[str]) -> Columns:
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise DataError(f"{path}: reading Parquet needs pyarrow; pip install pyarrow, or give a CSV") from error
    _places(parquet.read_schema(path).names, names, str(path))
    table = parquet.read_table(path, columns=list(names))
    return [["" if value is None else str(value) for value in table.column(name).to_pylist()] for name in names]
