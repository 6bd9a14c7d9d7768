"""Tensors of the Open Inference Protocol, and the two encodings that both transports share: bytes and JSON.

What a tensor claims is compared with what is there before anything is allocated for it.
"""

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

Element = bool | int | float | str
Shape = tuple[int, ...]
LARGEST = 2**63 - 1
"""Of a dimension: the protocol's are INT64."""
SHOWN = 8
"""Dimensions of a wrong shape that an error repeats."""


class MalformedError(ValueError):
    """A tensor is not what it claims to be, or not what the model takes. Whoever knows its name adds that."""


@dataclass(frozen=True, slots=True)
class Datatype:
    """One of the protocol's datatypes."""

    name: str
    kind: type[Element]
    """What an element is in Python and in JSON."""
    field: str
    """Where `InferTensorContents` keeps such elements."""
    code: str = ""
    """`struct`'s code of an element; BYTES has none, its elements differ in size."""
    low: float = -math.inf
    high: float = math.inf


def _integer(bits: int, field: str, code: str) -> Datatype:
    if code.isupper():
        return Datatype(f"UINT{bits}", int, field, code, 0, 2**bits - 1)
    return Datatype(f"INT{bits}", int, field, code, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


DATATYPES = {
    datatype.name: datatype
    for datatype in (
        Datatype("BOOL", bool, "bool_contents", "?"),
        _integer(8, "int_contents", "b"), _integer(16, "int_contents", "h"), _integer(32, "int_contents", "i"),
        _integer(64, "int64_contents", "q"),
        _integer(8, "uint_contents", "B"), _integer(16, "uint_contents", "H"), _integer(32, "uint_contents", "I"),
        _integer(64, "uint64_contents", "Q"),
        Datatype("FP32", float, "fp32_contents", "f"), Datatype("FP64", float, "fp64_contents", "d"),
        Datatype("BYTES", str, "bytes_contents"),
    )
}  # fmt: skip
"""By name. FP16 and BF16 are missing: no model here has such a tensor."""


@dataclass(frozen=True, slots=True)
class Tensor:
    name: str
    datatype: str
    shape: Shape
    elements: Sequence[Element]
    """Flat, row-major; BYTES as text."""
    parameters: tuple[tuple[str, str], ...] = ()


Read = Callable[[Datatype, Shape], Sequence[Element]]
"""Reads the elements of a tensor of this datatype and shape, wherever a request put them. Raises MalformedError."""


@dataclass(frozen=True, slots=True)
class Given:
    """An input as a request gives it: claimed, not yet read."""

    name: str
    datatype: str
    shape: Sequence[int]
    read: Read


def shown(shape: Sequence[int]) -> str:
    return "[" + ", ".join([*map(str, shape[:SHOWN]), *(["…"] if len(shape) > SHOWN else [])]) + "]"


def checked(elements: Sequence[Element], datatype: Datatype, shape: Shape) -> Sequence[Element]:
    """The elements, if they are as many as the shape says and in the datatype's range. Raises MalformedError."""
    if len(elements) != math.prod(shape):
        raise MalformedError(f"shape {shown(shape)} takes {math.prod(shape)} elements, there are {len(elements)}")
    if datatype.kind is int and not all(datatype.low <= element <= datatype.high for element in elements):  # type: ignore[operator] # integers
        raise MalformedError(f"an element is no {datatype.name}")
    return elements


def text(element: bytes | memoryview, index: int) -> str:
    try:
        return str(element, "utf-8")
    except UnicodeDecodeError:
        raise MalformedError(f"element {index} is not valid UTF-8") from None


# bytes: raw contents over gRPC, the binary data extension over HTTP


def from_bytes(data: bytes | memoryview, datatype: Datatype, shape: Shape) -> Sequence[Element]:
    """Elements in row-major order, little-endian, unpadded. Raises MalformedError."""
    count = math.prod(shape)
    if not datatype.code:
        return _texts(memoryview(data), count)
    expected = count * struct.calcsize(f"<{datatype.code}")
    if len(data) != expected:
        raise MalformedError(f"shape {shown(shape)} of {datatype.name} takes {expected} bytes, there are {len(data)}")
    return struct.unpack(f"<{count}{datatype.code}", data)


def _texts(data: memoryview, count: int) -> list[str]:
    if count * 4 > len(data):
        raise MalformedError(f"{count} elements take {count * 4} bytes of lengths alone, there are {len(data)} bytes")
    elements: list[str] = []
    end = 0
    for index in range(count):
        start = end + 4
        end = start + (int.from_bytes(data[end:start], "little") if start <= len(data) else 0)
        if end > len(data):
            raise MalformedError(f"element {index} ends beyond the tensor's {len(data)} bytes")
        elements.append(text(data[start:end], index))
    if end != len(data):
        raise MalformedError(f"{count} elements take {end} bytes, there are {len(data)}")
    return elements


def to_bytes(tensor: Tensor) -> bytes:
    code = DATATYPES[tensor.datatype].code
    if code:
        return struct.pack(f"<{len(tensor.elements)}{code}", *tensor.elements)
    encoded = [str(element).encode() for element in tensor.elements]
    return b"".join(part for element in encoded for part in (len(element).to_bytes(4, "little"), element))


# JSON


def from_json(data: bytes | memoryview, datatype: Datatype, shape: Shape) -> Sequence[Element]:
    """A JSON array, flat or nested as the shape is. Raises MalformedError."""
    nested = bytes(data[:64]).lstrip()[1:].lstrip().startswith(b"[")
    kind: Any = datatype.kind
    for _ in range(len(shape) if nested else 1):
        kind = list[kind]
    try:
        elements = msgspec.json.decode(data, type=kind)
    except msgspec.DecodeError as error:
        raise MalformedError(f"the data is not {datatype.name} of shape {shown(shape)}: {error}") from None
    except UnicodeDecodeError:
        raise MalformedError("an element is not valid UTF-8") from None
    return checked(_flat(elements, shape) if nested else elements, datatype, shape)


def _flat(rows: list[Any], shape: Shape) -> list[Element]:
    if len(rows) != shape[0]:
        raise MalformedError(f"the data is nested otherwise than shape {shown(shape)}")
    if len(shape) == 1:
        return rows
    return [element for row in rows for element in _flat(row, shape[1:])]
