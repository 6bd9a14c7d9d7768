"""What an answer costs, and how usage is kept."""

from datetime import date
from pathlib import Path

import pytest

from services.gateway.policy.usage.folder import FolderStore
from services.gateway.policy.usage.ledger import Store, UsageError
from services.gateway.policy.usage.memory import MemoryStore
from services.gateway.policy.usage.row import Row
from services.gateway.policy.usage.spent import MOST_GUESSED, spent
from services.gateway.registry import Price

TODAY = date(2026, 3, 1)


@pytest.mark.parametrize(
    ("outcome", "given", "made", "pieces", "charged"),
    [
        ("ok", 5, 7, 3, (5, 7, False)),
        ("ok", 5, None, 0, (5, 0, False)),  # embeddings
        ("ok", None, None, 0, (0, 0, False)),  # a task model
        ("ok", None, None, 3, (100, 3, True)),  # an engine that never says
        ("client_cancelled", None, None, 3, (100, 3, True)),
        ("client_cancelled", 5, 1, 3, (5, 3, True)),  # Anthropic's streams begin with a count
        ("truncated", 5, 7, 3, (5, 7, False)),
        ("upstream_error", None, None, 0, (0, 0, False)),  # nothing came
    ],
)
def test_the_engines_word_counts_and_else_what_was_sent(
    outcome: str, given: int | None, made: int | None, pieces: int, charged: tuple[int, int, bool]
) -> None:
    assert spent(outcome, given, made, pieces, 400) == charged


def test_a_body_that_holds_an_image_is_not_taken_for_text() -> None:
    assert spent("client_cancelled", None, None, 1, 10**7)[0] == MOST_GUESSED


def test_a_price() -> None:
    assert Price(input=1, output=2).of(1_000_000, 500_000, 3) == 2
    assert Price(request=0.5).of(0, 0, 3) == 1.5


def row(day: str, requests: int = 1) -> Row:
    return Row(day, "shop", "a", "m", "EUR", requests, 10, 4, 0, 0.5)


def stores(folder: Path) -> list[Store]:
    return [MemoryStore(2, lambda: TODAY), FolderStore(folder / "usage", 2, lambda: TODAY)]


async def test_rows_are_added_up_by_day_and_old_days_go(tmp_path: Path) -> None:
    for store in stores(tmp_path):
        await store.add([row("2026-02-27"), row("2026-02-28"), row("2026-03-01")])
        await store.add([row("2026-03-01", 2)])
        assert [(found.day, found.requests) for found in await store.read(date(2026, 1, 1), TODAY)] == [
            ("2026-02-28", 1), ("2026-03-01", 3),
        ]  # fmt: skip
        (today,) = await store.read(TODAY, TODAY)
        assert (today.input_tokens, today.output_tokens, today.cost) == (20, 8, 1.0)


async def test_a_folder_outlives_its_process_and_a_broken_file_is_said(tmp_path: Path) -> None:
    await FolderStore(tmp_path, 2, lambda: TODAY).add([row("2026-03-01")])
    again = FolderStore(tmp_path, 2, lambda: TODAY)
    assert len(await again.read(TODAY, TODAY)) == 1
    broken(tmp_path / "2026-03-01.json")
    with pytest.raises(UsageError, match=r"2026-03-01\.json"):
        await again.read(TODAY, TODAY)
    with pytest.raises(UsageError):
        await again.add([row("2026-03-01")])


def broken(path: Path) -> None:
    path.write_text("{")
