"""Read and write safetensors files with numpy alone: a length, a JSON header, the bytes.

Format: https://github.com/huggingface/safetensors#format
"""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_TYPES: dict[str, np.dtype[Any]] = {"I8": np.dtype("i1"), "F16": np.dtype("<f2"), "F32": np.dtype("<f4")}
_NAMES = {dtype: name for name, dtype in _TYPES.items()}


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor by name. Raises KeyError where one has a type other than I8, F16 and F32."""
    data = path.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__", None)
    return {name: _view(data[8 + length :], entry) for name, entry in header.items()}


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    header, payload = {}, b""
    for name, tensor in tensors.items():
        start, payload = len(payload), payload + tensor.tobytes()
        offsets = [start, len(payload)]
        header[name] = {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": offsets}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # the format asks for aligned tensors
    path.write_bytes(struct.pack("<Q", len(text)) + text + payload)


def _view(payload: bytes, entry: dict[str, Any]) -> NDArray[Any]:
    start, stop = entry["data_offsets"]
    tensor: NDArray[Any] = np.frombuffer(payload[start:stop], _TYPES[entry["dtype"]])
    return tensor.reshape(entry["shape"])
