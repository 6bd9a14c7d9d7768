"""Training on real interactions, and what `prepare` leaves behind."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from services.recommendation.model import Recommender
from services.recommendation.prepare import prepare
from services.recommendation.settings import DataSection, RecommendationSection, TrainingSection
from services.recommendation.train import model_folder


def test_the_default_model_reaches_its_goal_and_beats_popularity(movielens: Recommender) -> None:
    scores = movielens.metadata["scores"]
    assert scores["popularity"]["recall"] == pytest.approx(0.050, abs=0.001)
    assert scores["model"]["recall"] >= 0.18
    assert scores["model"]["ndcg"] >= 0.09
    assert scores["model"]["users"] == 943


def test_the_metadata_says_where_the_model_comes_from(movielens: Recommender, model_path: Path) -> None:
    stored = json.loads((model_path / "metadata.json").read_text())
    assert "no commercial use" in stored["data"]["licence"]
    assert stored["data"]["sha256"].startswith("9c994820")
    assert "last item" in stored["split"]
    assert stored["training"] == TrainingSection().model_dump()


@pytest.mark.usefixtures("movielens")
def test_a_second_prepare_returns_at_once(model_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (model_path / "metadata.json").stat().st_mtime_ns
    started = time.process_time()
    prepare(RecommendationSection(model_path=model_path))
    assert time.process_time() - started < 1
    assert capsys.readouterr().out.startswith("ready already")
    assert (model_path / "metadata.json").stat().st_mtime_ns == before


def test_own_interactions_train_and_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NARU_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "walks.csv"
    rows = [f"u{user},{(user + step) % 9},{step}" for user in range(30) for step in range(5)]
    path.write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    section = RecommendationSection(data=DataSection(source=str(path)))
    prepare(section)
    out = capsys.readouterr().out
    assert "150 interactions, 30 users, 9 items" in out
    assert "MovieLens" not in out
    assert Recommender.load(model_folder(section)).metadata["scores"]["model"]["recall"] == 1.0


def test_the_folder_follows_data_and_knobs(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("one")
    section = RecommendationSection(data=DataSection(source=str(path)))
    first = model_folder(section)
    tuned = section.model_copy(update={"training": TrainingSection(next_weight=2)})
    path.write_text("two")
    assert len({first, model_folder(section), model_folder(tuned)}) == 3


def test_the_command_line_explains_itself() -> None:
    command = [sys.executable, "-m", "services.recommendation.train", "--help"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "--tune" in result.stdout


def test_a_wrong_source_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NARU_RECOMMENDATION__DATA__SOURCE", "nowhere.csv")
    command = [sys.executable, "-m", "services.recommendation.prepare"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: nowhere.csv: no such file; set NARU_RECOMMENDATION__DATA__SOURCE (or __TITLES) to a table"
    ]
