from pathlib import Path

import pytest

from services.llm.packaged import SMOLLM2, Say
from services.llm.references import ModelNotFoundError, resolve


def quiet(line: str) -> None:
    pass


def no_hub(repository: str, revision: str | None, say: Say) -> Path:
    raise AssertionError("nothing here asks a hub")


def location(reference: str) -> str:
    return resolve(reference, download=no_hub, say=quiet).location


def model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").touch()
    return path


def test_a_relative_path_is_served_by_its_absolute_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = model_folder(tmp_path / "m")
    monkeypatch.chdir(tmp_path)
    assert location("m") == location(str(folder)) == str(folder)


def test_a_model_that_was_converted_before_needs_no_registry() -> None:
    folder = model_folder(SMOLLM2.folder)
    assert location("packaged:smollm2-135m-instruct") == str(folder)


def test_a_hub_reference_names_repository_and_revision(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "snapshot")
    asked: list[tuple[str, str | None]] = []

    def hub(repository: str, revision: str | None, say: Say) -> Path:
        asked.append((repository, revision))
        return folder

    for reference in ("hf:org/name", "hf:org/name@v2"):
        model = resolve(reference, download=hub, say=quiet)
        assert (model.location, model.local) == (str(folder), True)
    assert asked == [("org/name", None), ("org/name", "v2")]


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("packaged:gpt-9", "there are: smollm2-135m-instruct, qwen2.5-coder-0.5b-instruct"),
        ("hf:name-only", "hf:<organisation>/<name>"),
        ("hf:a/b/c", "hf:<organisation>/<name>"),
        ("hf:org/name@", "hf:<organisation>/<name>"),
        ("s3://bucket", "s3://<bucket>/<prefix>"),
        ("s3://bucket/model", "runai-model-streamer"),
        ("org/name", "hf:<organisation>/<name>"),
        ("", "the reference is empty"),
    ],
)
def test_a_wrong_reference_says_what_would_do(reference: str, told: str) -> None:
    with pytest.raises(ModelNotFoundError) as refused:
        location(reference)
    assert told in str(refused.value)


def test_a_folder_must_hold_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match=r"has no config\.json"):
        location(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelNotFoundError, match="has no weights"):
        location(str(tmp_path))
    with pytest.raises(ModelNotFoundError, match="is a file"):
        location(str(tmp_path / "config.json"))
