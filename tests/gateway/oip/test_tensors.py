"""The tensor codec: whatever is written is read back, and what only claims to be a tensor costs nothing."""

import contextlib
import json
import math
import struct
import tracemalloc
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.api.oip.tensors import (
    DATATYPES,
    Datatype,
    Element,
    MalformedError,
    Shape,
    Tensor,
    from_bytes,
    from_json,
    to_bytes,
)


def elements(datatype: Datatype) -> st.SearchStrategy[Element]:
    if datatype.kind is float:
        return st.floats(width=32 if datatype.name == "FP32" else 64, allow_nan=False, allow_infinity=False)
    if datatype.kind is int:
        return st.integers(int(datatype.low), int(datatype.high))
    return st.booleans() if datatype.kind is bool else st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    datatype = draw(st.sampled_from(list(DATATYPES.values())))
    shape = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
    count = math.prod(shape)
    return Tensor("t", datatype.name, shape, draw(st.lists(elements(datatype), min_size=count, max_size=count)))


def nested(flat: Sequence[Element], shape: Shape) -> object:
    if len(shape) == 1:
        return list(flat)
    step = math.prod(shape[1:])
    return [nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


@given(tensors())
def test_what_is_written_as_bytes_is_read_back(tensor: Tensor) -> None:
    assert list(from_bytes(to_bytes(tensor), DATATYPES[tensor.datatype], tensor.shape)) == list(tensor.elements)


@given(tensors(), st.booleans())
def test_json_is_read_flat_or_nested(tensor: Tensor, flat: bool) -> None:
    data = json.dumps(list(tensor.elements) if flat else nested(tensor.elements, tensor.shape)).encode()
    assert list(from_json(data, DATATYPES[tensor.datatype], tensor.shape)) == list(tensor.elements)


@given(tensors(), st.binary(min_size=1, max_size=9))
def test_bytes_beyond_the_tensor_are_refused(tensor: Tensor, more: bytes) -> None:
    with pytest.raises(MalformedError):
        from_bytes(to_bytes(tensor) + more, DATATYPES[tensor.datatype], tensor.shape)


@given(tensors().filter(lambda tensor: len(tensor.elements) > 0), st.floats(0, 1, exclude_max=True))
def test_a_tensor_cut_short_is_refused(tensor: Tensor, where: float) -> None:
    data = to_bytes(tensor)
    with pytest.raises(MalformedError):
        from_bytes(data[: int(len(data) * where)], DATATYPES[tensor.datatype], tensor.shape)


@given(
    st.binary(max_size=64),
    st.sampled_from(list(DATATYPES.values())),
    st.lists(st.integers(0, 2**63), min_size=1, max_size=9),
)
def test_any_bytes_are_a_tensor_or_malformed(data: bytes, datatype: Datatype, shape: list[int]) -> None:
    for read in (from_bytes, from_json):
        with contextlib.suppress(MalformedError):
            assert len(read(data, datatype, tuple(shape))) == math.prod(shape)


def test_bytes_elements_are_little_endian_lengths_and_utf_8() -> None:
    assert to_bytes(Tensor("t", "BYTES", (2,), ["a", "나"])) == b"\x01\0\0\0a\x03\0\0\0\xeb\x82\x98"
    assert to_bytes(Tensor("t", "INT64", (1,), [258])) == b"\x02\x01" + bytes(6)
    assert to_bytes(Tensor("t", "BOOL", (2,), [True, False])) == b"\x01\0"


HUGE = 2**31
CLAIMS: list[tuple[Callable[..., object], bytes, str, Shape]] = [
    (from_bytes, b"", "BYTES", (HUGE,)),
    (from_bytes, struct.pack("<I", HUGE) + b"good", "BYTES", (1,)),
    (from_bytes, struct.pack("<I", 2**32 - 1), "BYTES", (1,)),
    (from_bytes, b"1234", "FP64", (HUGE, HUGE)),
    (from_bytes, b"1234", "BOOL", (HUGE,)),
    (from_json, b'["good"]', "BYTES", (HUGE,)),
    (from_json, b"[[1]]", "INT64", (HUGE, 1)),
    (from_json, b"[]", "INT64", (HUGE, HUGE)),
]


@pytest.mark.parametrize(("read", "data", "datatype", "shape"), CLAIMS)
def test_a_claim_of_billions_of_elements_allocates_next_to_nothing(
    read: Callable[..., object], data: bytes, datatype: str, shape: Shape
) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError):
            read(data, DATATYPES[datatype], shape)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()
