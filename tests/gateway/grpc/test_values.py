"""Values between protobuf and JSON."""

from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import InvalidField
from services.common.pb.naru.v1 import chat_pb2 as pb
from services.gateway.api.grpc.values import names, plain, raw_json, words

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_a_struct_gives_back_what_was_put_in(fields: dict[str, Any]) -> None:
    struct = Struct()
    struct.update(fields)
    assert plain(struct, "extra") == fields


def test_whole_numbers_are_integers_again() -> None:
    struct = Struct()
    struct.update({"top_k": 20, "min_p": 0.5, "seed": -(2**53)})
    found = plain(struct, "extra")
    assert {name: type(value) for name, value in found.items()} == {"top_k": int, "min_p": float, "seed": int}


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused(number: float) -> None:
    struct = Struct()
    struct.update({"deep": [{"x": number}]})
    with pytest.raises(InvalidField, match="extra"):
        plain(struct, "extra")


@pytest.mark.parametrize("text", ["", "{", "{'a': 1}", "nan"])
def test_json_text_is_checked(text: str) -> None:
    with pytest.raises(InvalidField, match="schema"):
        raw_json(text, "schema")


def test_an_enums_words() -> None:
    assert words(pb.FinishReason)["tool_calls"] == pb.FINISH_REASON_TOOL_CALLS
    assert names(pb.ToolChoice.Mode) == {1: "none", 2: "auto", 3: "required"}
    assert "unspecified" not in words(pb.Role)
