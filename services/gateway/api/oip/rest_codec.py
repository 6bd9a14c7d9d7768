"""Bodies of the protocol over HTTP: JSON, and the binary tensor data extension, where raw tensors follow the JSON.

https://github.com/kserve/open-inference-protocol (inference_rest.md) and Triton's extension_binary_data.md.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from services.common.errors import InvalidRequest
from services.gateway.api.oip.inference import Asked, Inferred
from services.gateway.api.oip.signature import LONGEST_NAME, wrong
from services.gateway.api.oip.tensors import Given, Read, Tensor, from_bytes, from_json, to_bytes

HEADER_LENGTH = "inference-header-content-length"
_ABSENT = msgspec.Raw()


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] = {}
    data: msgspec.Raw = _ABSENT


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] = {}


class _Request(msgspec.Struct):
    inputs: list[msgspec.Raw]
    id: str = ""
    parameters: dict[str, Any] = {}
    outputs: list[_Output] = []


class _Named(msgspec.Struct):
    name: str


_read_request = msgspec.json.Decoder(_Request).decode
_read_input = msgspec.json.Decoder(_Input).decode
_read_name = msgspec.json.Decoder(_Named).decode


@dataclass(frozen=True, slots=True)
class Wishes:
    """Which outputs a client wants as binary data: each one's own word, else what it said for all."""

    outputs: Mapping[str, bool]
    all: bool

    def binary(self, name: str) -> bool:
        return self.outputs.get(name, self.all)


def read(body: bytes, header_length: str | None, model: str, version: str | None) -> tuple[Asked, Wishes]:
    """Raises InvalidRequest, InvalidTensor."""
    head, rest = _split(body, header_length)
    request = _request(head)
    inputs, offset = [], 0
    for index, raw in enumerate(request.inputs):
        found = _input(raw, index)
        size = _binary_size(found)
        inputs.append(Given(found.name, found.datatype, found.shape, _reader(found, size, rest, offset)))
        offset += size or 0
    if offset != len(rest):
        raise InvalidRequest(f"the inputs account for {offset} bytes of binary data, there are {len(rest)}")
    asked = Asked(model, version, request.id, inputs, [output.name for output in request.outputs], request.parameters)
    return asked, _wishes(request)


def _split(body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    whole = memoryview(body)
    if header_length is None:
        return whole, whole[len(body) :]
    if not (header_length.isascii() and header_length.isdigit()) or len(header_length) > 18:
        raise InvalidRequest("the header Inference-Header-Content-Length must be a number of bytes")
    if int(header_length) > len(body):
        raise InvalidRequest(f"Inference-Header-Content-Length is {header_length}, the body has {len(body)} bytes")
    return whole[: int(header_length)], whole[int(header_length) :]


def _request(head: memoryview) -> _Request:
    try:
        return _read_request(head)
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"the request is not an inference request: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        _blame(bytes(head))
        raise InvalidRequest(f"the request is not valid JSON: {error}") from None


def _blame(head: bytes) -> None:
    """Python clients write NaN and Infinity, which JSON does not have. Raises InvalidTensor for the input with one."""
    try:
        inputs = json.loads(head)["inputs"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return
    for found in inputs if isinstance(inputs, list) else []:
        try:
            json.dumps(found, allow_nan=False)
        except ValueError:
            name = found.get("name") if isinstance(found, dict) else None
            raise wrong(str(name), "NaN and Infinity are no JSON numbers") from None


def _input(raw: msgspec.Raw, index: int) -> _Input:
    try:
        return _read_input(raw)
    except (msgspec.ValidationError, UnicodeDecodeError) as error:
        fault = str(error)
    try:
        name = _read_name(raw).name
    except (msgspec.ValidationError, UnicodeDecodeError):
        name = f"#{index}"
    raise wrong(name, fault)


def _binary_size(found: _Input) -> int | None:
    size = found.parameters.get("binary_data_size")
    if size is None:
        return None
    if type(size) is not int or size < 0:
        raise wrong(found.name, "binary_data_size must be a number of bytes")
    if found.data:
        raise wrong(found.name, "it has data and binary_data_size; give one")
    return size


def _reader(found: _Input, size: int | None, rest: memoryview, offset: int) -> Read:
    if size is not None:
        if offset + size > len(rest):
            raise wrong(found.name, f"binary_data_size is {size}, there are {len(rest) - offset} bytes left")
        return partial(from_bytes, rest[offset : offset + size])
    if not found.data:
        raise wrong(found.name, "it has no data")
    return partial(from_json, memoryview(found.data))


def _wishes(request: _Request) -> Wishes:
    for output in request.outputs:
        if output.parameters.get("classification"):
            raise InvalidRequest(f"output {output.name[:LONGEST_NAME]!r}: the classification extension is not served")
    given = {o.name: bool(o.parameters["binary_data"]) for o in request.outputs if "binary_data" in o.parameters}
    return Wishes(given, bool(request.parameters.get("binary_data_output", False)))


def write(inferred: Inferred, wishes: Wishes) -> tuple[bytes, int | None]:
    """The answer's body, and how many of its bytes are JSON where binary data follows them."""
    outputs, parts = [], []
    for tensor in inferred.outputs:
        described = _described(tensor)
        if wishes.binary(tensor.name):
            parts.append(to_bytes(tensor))
            described["parameters"] = {**dict(tensor.parameters), "binary_data_size": len(parts[-1])}
        else:
            described["data"] = tensor.elements
        outputs.append(described)
    answer: dict[str, object] = {"model_name": inferred.model, "model_version": inferred.version, "outputs": outputs}
    if inferred.id:
        answer["id"] = inferred.id
    head = msgspec.json.encode(answer)
    return (head + b"".join(parts), len(head)) if parts else (head, None)


def _described(tensor: Tensor) -> dict[str, object]:
    described: dict[str, object] = {"name": tensor.name, "datatype": tensor.datatype, "shape": tensor.shape}
    if tensor.parameters:
        described["parameters"] = dict(tensor.parameters)
    return described
