"""What a model's folder says about its weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

SavedIn = Literal["bfloat16", "float16", "float32"]

_BYTES: dict[SavedIn, int] = {"bfloat16": 2, "float16": 2, "float32": 4}


@dataclass(frozen=True)
class Weights:
    dtype: SavedIn
    float32_size: int
    """Bytes they take in float32."""


def read(folder: Path) -> Weights | None:
    """From `config.json` and the files' sizes. None where they are quantised, or it does not say what they are."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # vLLM says what is wrong with it
    saved, size = _dtype(config), _size(folder)
    if saved is None or not size:
        return None
    return Weights(saved, size * 4 // _BYTES[saved])


def _dtype(config: dict[str, Any]) -> SavedIn | None:
    """Models of text and images have the text's in a section of its own; `torch_dtype` is the field's old name."""
    sections = [config, config.get("text_config") or {}]
    if any(section.get("quantization_config") for section in sections):
        return None
    named = [section[key] for section in sections for key in ("dtype", "torch_dtype") if section.get(key)]
    return next((kind for kind in get_args(SavedIn) if named[:1] == [kind]), None)


def _size(folder: Path) -> int:
    """Of the files that vLLM would load: safetensors where there are any."""
    for pattern in ("*.safetensors", "*.bin", "*.pt"):
        if size := sum(file.stat().st_size for file in folder.glob(pattern)):
            return size
    return 0
