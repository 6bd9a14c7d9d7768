"""Any table of users, items and times is a source."""

import importlib.util
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.recommendation.data import load
from services.recommendation.settings import DataSection
from services.recommendation.tables import DataError

CLICKS = """who,what,at,stars
u2,10,2024-05-01T10:00:00,5
u1,9,3,1
u1,10,1,5
u1,2,2,4
u2,9,2024-05-01T09:00:00,2
"""


def section(path: Path, **changes: object) -> DataSection:
    names = {"user_column": "who", "item_column": "what", "time_column": "at"}
    return DataSection.model_validate({"source": str(path), **names, **changes})


@pytest.fixture
def clicks(tmp_path: Path) -> Path:
    path = tmp_path / "clicks.csv"
    path.write_text(CLICKS)
    return path


def test_a_csv_becomes_sequences_in_time_order(clicks: Path) -> None:
    data = load(section(clicks), max_items=100)
    assert data.items == ["2", "9", "10"]
    assert {user: s.tolist() for user, s in zip(data.users, data.sequences, strict=True)} == {
        "u1": [2, 0, 1],
        "u2": [1, 2],
    }


def test_low_ratings_can_be_left_out(clicks: Path) -> None:
    data = load(section(clicks, rating_column="stars", min_rating=4), max_items=100)
    assert (data.items, data.count) == (["2", "10"], 3)


def test_a_catalogue_over_the_limit_keeps_the_most_popular(clicks: Path) -> None:
    assert load(section(clicks), max_items=2).items == ["9", "10"]


def test_a_repeated_item_counts_at_its_latest_time(tmp_path: Path) -> None:
    path = tmp_path / "repeats.tsv"
    path.write_text("who\twhat\tat\nu\ta\t1\nu\tb\t2\nu\ta\t3\n")
    assert load(section(path), max_items=9).sequences[0].tolist() == [1, 0]


@pytest.mark.parametrize(("ties", "expected"), [("item", [0, 1]), ("file", [1, 0])])
def test_ties_in_time_are_ordered_as_the_setting_says(tmp_path: Path, ties: str, expected: list[int]) -> None:
    path = tmp_path / "ties.csv"
    path.write_text("who,what,at\nu,b,1\nu,a,1\n")
    assert load(section(path, ties=ties), max_items=9).sequences[0].tolist() == expected


def test_titles_come_from_their_own_table(clicks: Path, tmp_path: Path) -> None:
    titles = tmp_path / "titles.csv"
    titles.write_text("what,title\n2,나루\n")
    assert load(section(clicks, titles=titles), max_items=9).titles == {"2": "나루"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b,c\n1,2,3\n", "no column 'who', 'what', 'at'; it has 'a', 'b', 'c'"),
        ("who,what,at\nu,a,yesterday\nu,b,1\n", "'yesterday' is neither a number nor an ISO 8601 date"),
        ("who,what,at\nu,a,nan\nu,b,1\n", "'nan' is not a point in time"),
        ("who,what,at\nu,,1\nu,b,1\n", "id is empty"),
        ("who,what,at\nu,a\n", "line 2 has 2 fields"),
        ("who,what,at\nu,a,1\n", "at least 2 are needed"),
        ("", "it has none"),
    ],
)
def test_an_unusable_table_says_why(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        load(section(path), max_items=9)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NARU_RECOMMENDATION__DATA__SOURCE"):
        load(section(tmp_path / "none.csv"), max_items=9)


def test_parquet_without_its_reader_says_what_to_install(tmp_path: Path) -> None:
    if importlib.util.find_spec("pyarrow"):
        pytest.skip("pyarrow is installed")
    path = tmp_path / "clicks.parquet"
    path.touch()
    with pytest.raises(DataError, match="pip install pyarrow"):
        load(section(path), max_items=9)


def test_a_smallest_rating_needs_its_column() -> None:
    with pytest.raises(ValidationError, match="rating_column"):
        DataSection(min_rating=3)
