import json
from pathlib import Path
from typing import Any

import pytest

from services.llm.weights import Weights, read


def folder(at: Path, config: dict[str, Any] | str, **files: int) -> Path:
    """A model whose weights have these sizes, `_` for the dot of a name."""
    (at / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    for name, size in files.items():
        (at / name.replace("_", ".")).write_bytes(b"\0" * size)
    return at


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"dtype": "bfloat16"}, Weights("bfloat16", 60)),
        ({"torch_dtype": "float16"}, Weights("float16", 60)),
        ({"dtype": "float32"}, Weights("float32", 30)),
        ({"text_config": {"dtype": "bfloat16"}}, Weights("bfloat16", 60)),
        ({"dtype": "bfloat16", "quantization_config": {"quant_method": "awq"}}, None),
        ({"dtype": "float8_e4m3fn"}, None),
        ({}, None),
        ("no JSON", None),
    ],
)
def test_the_type_is_the_configurations(config: dict[str, Any] | str, expected: Weights | None, tmp_path: Path) -> None:
    assert read(folder(tmp_path, config, a_safetensors=10, b_safetensors=20)) == expected


def test_the_size_is_that_of_the_files_that_are_loaded(tmp_path: Path) -> None:
    config = {"dtype": "bfloat16"}
    assert read(folder(tmp_path, config, model_bin=7)) == Weights("bfloat16", 14)
    assert read(folder(tmp_path, config, model_safetensors=5)) == Weights("bfloat16", 10)


def test_a_folder_without_a_configuration_or_weights_says_nothing(tmp_path: Path) -> None:
    assert read(tmp_path) is None
    assert read(folder(tmp_path, {"dtype": "bfloat16"}, model_gguf=5)) is None
