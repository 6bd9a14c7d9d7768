import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from services.common.packages import PackageFile, sha256_of
from services.llm.packaged import MODELS, CorruptModelError, PackagedModel, Part, join, prepare


def quiet(line: str) -> None:
    pass


def wheel(path: Path, member: str, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("package/__init__.py", "")
        archive.writestr(member, content)
    return path


def test_pieces_are_joined_in_order_and_hashed_as_one(tmp_path: Path) -> None:
    pieces = [b"GGUF" * 700_000, b"", b"tail"]
    wheels = [(wheel(tmp_path / f"{n}.whl", f"p/{n}.bin", piece), f"p/{n}.bin") for n, piece in enumerate(pieces)]
    digest = join(wheels, tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == b"".join(pieces)
    assert digest == hashlib.sha256(b"".join(pieces)).hexdigest()


def in_two_parts(cache: Path) -> PackagedModel:
    """A model whose two wheels are in the cache already, as if they had been downloaded."""
    parts = []
    for number, content in enumerate((b"first", b"second")):
        path = wheel(cache / "packages" / f"piece-{number}.whl", "piece.bin", content)
        parts.append(Part(PackageFile(f"piece-{number}", "1", path.name, sha256_of(path)), "piece.bin"))
    return PackagedModel("tiny", tuple(parts), "0" * 64, "LlamaForCausalLM", "CC0-1.0")


def test_a_joined_file_with_another_hash_is_refused_and_leaves_nothing(cache: Path) -> None:
    model = in_two_parts(cache)
    with pytest.raises(CorruptModelError, match=hashlib.sha256(b"firstsecond").hexdigest()):
        prepare(model, quiet)
    assert list(model.folder.parent.iterdir()) == []


def test_a_converted_model_is_not_made_again(cache: Path) -> None:
    model = replace(MODELS["smollm2-135m-instruct"], parts=())
    model.folder.mkdir(parents=True)
    (model.folder / "config.json").write_text("{}")
    assert prepare(model, quiet) == model.folder


def test_another_hash_is_another_folder() -> None:
    model = MODELS["smollm2-135m-instruct"]
    assert replace(model, sha256="f" * 64).folder != model.folder


def test_every_part_is_pinned() -> None:
    for model in MODELS.values():
        assert len(model.sha256) == 64
        assert all(len(part.package.sha256) == 64 for part in model.parts)
