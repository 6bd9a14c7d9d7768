"""Values between protobuf and JSON."""

import math
from typing import Any, TypeVar, cast

import msgspec
from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper
from google.protobuf.struct_pb2 import Struct, Value

from services.common.errors import InvalidField

E = TypeVar("E", bound=int)


def plain(struct: Struct, name: str) -> dict[str, Any]:
    """A Struct as JSON's types. Its numbers are doubles: one without a fraction is an integer again.

    Raises InvalidField where a number is none JSON has; `name` is the field's.
    """
    return {key: _value(value, name) for key, value in struct.fields.items()}


def _value(value: Value, name: str) -> Any:
    match value.WhichOneof("kind"):
        case "number_value":
            return _number(value.number_value, name)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return plain(value.struct_value, name)
        case "list_value":
            return [_value(item, name) for item in value.list_value.values]
    return None


def _number(number: float, name: str) -> float | int:
    if not math.isfinite(number):
        raise InvalidField(f"{name}: {number} is not a number in JSON", param=name)
    return int(number) if number.is_integer() else number


def raw_json(text: str, name: str) -> msgspec.Raw:
    """JSON text, to be sent as it is. Raises InvalidField where it is not JSON."""
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidField(f"{name} is not valid JSON: {error}", param=name) from None
    return msgspec.Raw(text.encode())


def words(enum: type[E]) -> dict[str, E]:
    """An enum's values by the words that JSON has for them: `tool_calls` for FINISH_REASON_TOOL_CALLS.

    The zero value, which stands for none of them, is left out; its name begins as all of them do.
    """
    wrapper = cast("EnumTypeWrapper", enum)
    prefix = wrapper.Name(0).removesuffix("UNSPECIFIED")
    return {name.removeprefix(prefix).lower(): cast("E", number) for name, number in wrapper.items() if number}


def names(enum: type[E]) -> dict[E, str]:
    """The other way round."""
    return {number: word for word, number in words(enum).items()}
