"""The model learns order, ranks the same way every time, and survives the disk."""

from pathlib import Path

import numpy as np
import pytest

from services.recommendation.answer import Answerer
from services.recommendation.data import Interactions
from services.recommendation.model import ModelMissingError, Recommender, top
from services.recommendation.query import Query
from services.recommendation.settings import TrainingSection

ITEMS = 12


@pytest.fixture(scope="module")
def ring() -> Recommender:
    """Every user walks a ring of items from another start: what comes next is the item's successor."""
    sequences = [(start + np.arange(6)) % ITEMS for start in range(ITEMS)]
    data = Interactions([f"u{n}" for n in range(ITEMS)], [str(n) for n in range(ITEMS)], {"3": "Three"}, sequences)
    return Recommender.fitted(data, TrainingSection(next_ridge=0.1))


def ids(answer: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["id"] for item in answer["items"]]


def test_it_learns_what_comes_next(ring: Recommender) -> None:
    answerer = Answerer(ring, "m", "v")
    for start in range(ITEMS):
        walked = [str((start + step) % ITEMS) for step in range(3)]
        assert ids(answerer.answer(Query(history=walked, k=1))) == [str((start + 3) % ITEMS)]


def test_equal_scores_are_ordered_by_the_catalogue() -> None:
    scores = np.array([1, 2, 2, 2, 0], dtype=np.float32)
    assert top(scores, 2).tolist() == [1, 2]
    assert top(scores, 3, excluded=[1]).tolist() == [2, 3, 0]
    assert top(scores, 9).tolist() == [1, 2, 3, 0, 4]
    assert top(scores, 3, excluded=range(5)).tolist() == []


def test_the_strategy_says_what_was_known(ring: Recommender) -> None:
    answerer = Answerer(ring, "m", "v")
    asked = {
        "personalised": Query(user_id="u1"),
        "history": Query(user_id="stranger", history=["1"]),
        "popular": Query(user_id="stranger", history=["no such item"]),
    }
    assert {name: answerer.answer(query)["strategy"] for name, query in asked.items()} == {n: n for n in asked}


def test_a_known_user_continues_with_the_given_history(ring: Recommender) -> None:
    answerer = Answerer(ring, "m", "v")
    assert ids(answerer.answer(Query(user_id="u0", k=1))) == ["6"]
    assert ids(answerer.answer(Query(user_id="u0", history=["6", "7"], k=1))) == ["8"]


def test_seen_items_come_back_only_on_request(ring: Recommender) -> None:
    answerer = Answerer(ring, "m", "v")
    assert not set(ids(answerer.answer(Query(user_id="u0", k=ITEMS)))) & set("012345")
    everything = ids(answerer.answer(Query(user_id="u0", k=ITEMS, exclude_seen=False)))
    assert sorted(everything, key=int) == ring.items


def test_unknown_items_are_reported_once_and_do_not_change_the_answer(ring: Recommender) -> None:
    answerer = Answerer(ring, "m", "v")
    with_unknown = answerer.answer(Query(history=["x", "1", "y", "x"]))
    assert with_unknown["unknown_items"] == ["x", "y"]
    assert with_unknown["items"] == answerer.answer(Query(history=["1"]))["items"]


def test_a_title_is_given_where_there_is_one(ring: Recommender) -> None:
    items = Answerer(ring, "m", "v").answer(Query(history=["1", "2"], k=ITEMS))["items"]
    assert [item.get("title") for item in items if item["id"] in "34"] == ["Three", None]


def test_saving_and_loading_changes_nothing(ring: Recommender, tmp_path: Path) -> None:
    ring.save(tmp_path / "model")
    ring.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")
    query = Query(user_id="u5", history=["2"], k=ITEMS)
    assert Answerer(loaded, "m", "v").answer(query) == Answerer(ring, "m", "v").answer(query)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_failed_save_leaves_the_old_model(ring: Recommender, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring.save(tmp_path / "model")

    def disk_full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", disk_full)
    with pytest.raises(OSError, match="no space"):
        ring.save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert Recommender.load(tmp_path / "model").items == ring.items


def test_a_missing_model_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelMissingError, match=r"services\.recommendation\.prepare"):
        Recommender.load(tmp_path)
