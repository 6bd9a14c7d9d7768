"""The committed head: small, readable, and as good as its metadata says."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from services.sentiment.data import english
from services.sentiment.evaluation import macro_f1
from services.sentiment.head import FOLDER, LABELS, Head, script_of
from services.sentiment.model import SentimentModel
from services.sentiment.tensors import read_tensors, write_tensors


@pytest.fixture(scope="session")
def model() -> SentimentModel:
    return SentimentModel.load()


@pytest.fixture(scope="session")
def metadata() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / "metadata.json").read_text())
    return document


def test_the_committed_head_is_small_and_holds_no_pickle() -> None:
    files = list(FOLDER.iterdir())
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    assert sum(file.stat().st_size for file in files) < 200_000


def test_the_metadata_says_how_the_head_was_made(metadata: dict[str, Any]) -> None:
    assert Path(metadata["script"]).name == "train.py"
    for part in (metadata["encoder"], *metadata["data"].values()):
        assert len(part["sha256"]) == 64
    assert metadata["held_out"]["english"]["sign_accuracy"] >= 0.81
    assert metadata["held_out"]["korean"]["binary_accuracy"] >= 0.78


@pytest.mark.slow
def test_held_out_english_sentences_score_as_the_metadata_says(model: SentimentModel, metadata: dict[str, Any]) -> None:
    _, held_out = english()
    sample = np.random.default_rng(0).permutation(len(held_out))[:500]
    probabilities = model([held_out.texts[i] for i in sample])
    accuracy = np.mean(probabilities.argmax(axis=1) == held_out.labels[sample])
    assert accuracy == pytest.approx(metadata["held_out"]["english"]["three_class_accuracy"], abs=0.05)
    polar = held_out.labels[sample] != LABELS.index("neutral")
    binary = np.mean((probabilities[:, 2] > probabilities[:, 0])[polar] == (held_out.labels[sample] == 2)[polar])
    assert binary == pytest.approx(metadata["held_out"]["english"]["binary_accuracy"], abs=0.05)


def test_a_text_past_the_encoders_limit_is_cut(model: SentimentModel) -> None:
    long = "good " * 1000
    assert model([long]) == pytest.approx(model([long + "good"]), abs=0.01)


def test_a_head_survives_saving_and_loading(tmp_path: Path, metadata: dict[str, Any]) -> None:
    Head.load(FOLDER).save(tmp_path, metadata)
    assert (tmp_path / "head.safetensors").read_bytes() == (FOLDER / "head.safetensors").read_bytes()


def test_tensor_files_are_what_the_reference_reader_expects(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    tensors: dict[str, NDArray[Any]] = {
        "a": np.arange(6, dtype=np.float16).reshape(2, 3),
        "b": np.array([-1, 127], np.int8),
    }
    path = tmp_path / "some.safetensors"
    write_tensors(path, tensors)
    for read in (safetensors.load_file(path), read_tensors(path)):
        assert all(np.array_equal(read[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize(
    ("text", "script"), [("좋은 영화", "hangul"), ("ㅋㅋㅋ", "hangul"), ("a good 영화", "other"), ("123 !", "other")]
)
def test_the_script_of_a_text_is_that_of_most_letters(text: str, script: str) -> None:
    assert script_of(text) == script


def test_macro_f1_is_the_mean_over_classes() -> None:
    truth, guess = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    assert macro_f1(truth, guess) == pytest.approx((2 / 3 + 4 / 5) / 2)
