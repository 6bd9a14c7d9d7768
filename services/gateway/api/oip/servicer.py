"""`inference.GRPCInferenceService`: the Open Inference Protocol over gRPC."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from services.common.errors import InvalidRequest
from services.common.pb.inference import grpc_service_pb2 as pb
from services.gateway.api.grpc.visit import Visit
from services.gateway.api.oip.inference import Asked, Inference, Inferred, ServerMetadata
from services.gateway.api.oip.signature import TensorSpec, wrong
from services.gateway.api.oip.tensors import (
    DATATYPES,
    Datatype,
    Element,
    Given,
    MalformedError,
    Read,
    Shape,
    Tensor,
    checked,
    from_bytes,
    text,
    to_bytes,
)


class InferenceServicer:
    def __init__(self, inference: Inference) -> None:
        self._inference = inference

    async def ServerLive(self, _: pb.ServerLiveRequest, __: Visit) -> pb.ServerLiveResponse:  # noqa: N802 - the
        # protocol's names, here and below
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _: pb.ServerReadyRequest, __: Visit) -> pb.ServerReadyResponse:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._inference.taking)

    async def ModelReady(self, request: pb.ModelReadyRequest, _: Visit) -> pb.ModelReadyResponse:  # noqa: N802
        return pb.ModelReadyResponse(ready=self._inference.ready(request.name, request.version or None))

    async def ServerMetadata(self, _: pb.ServerMetadataRequest, __: Visit) -> pb.ServerMetadataResponse:  # noqa: N802
        server = ServerMetadata()
        return pb.ServerMetadataResponse(name=server.name, version=server.version, extensions=server.extensions)

    async def ModelMetadata(  # noqa: N802
        self, request: pb.ModelMetadataRequest, visit: Visit
    ) -> pb.ModelMetadataResponse:
        found = self._inference.metadata(visit.admit().principal, request.name, request.version or None)
        return pb.ModelMetadataResponse(
            name=found.name, versions=found.versions, platform=found.platform,
            inputs=map(_described, found.inputs), outputs=map(_described, found.outputs),
            parameters=_parameters(dict(found.parameters)),
        )  # fmt: skip

    async def ModelInfer(self, request: pb.ModelInferRequest, visit: Visit) -> pb.ModelInferResponse:  # noqa: N802
        ready = self._inference.prepare(visit.admit(), _asked(request))
        inferred = await self._inference.infer(ready, visit.answer)
        visit.name(inferred.headers)
        return _answer(inferred, raw=bool(request.raw_input_contents))


def _described(spec: TensorSpec) -> pb.ModelMetadataResponse.TensorMetadata:
    return pb.ModelMetadataResponse.TensorMetadata(
        name=spec.name, datatype=spec.datatypes[0], shape=spec.shapes[0], parameters=_parameters(spec.said)
    )


def _parameters(said: Mapping[str, str | bool]) -> dict[str, pb.InferParameter]:
    return {
        name: pb.InferParameter(bool_param=value) if isinstance(value, bool) else pb.InferParameter(string_param=value)
        for name, value in said.items()
    }


def _asked(request: pb.ModelInferRequest) -> Asked:
    """Raises InvalidTensor, InvalidRequest."""
    return Asked(
        request.model_name, request.model_version or None, request.id, _inputs(request),
        [output.name for output in request.outputs],
        {name: _value(parameter) for name, parameter in request.parameters.items()},
    )  # fmt: skip


def _value(parameter: pb.InferParameter) -> object:
    field = parameter.WhichOneof("parameter_choice")
    return None if field is None else getattr(parameter, field)


def _inputs(request: pb.ModelInferRequest) -> list[Given]:
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidRequest(f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs")
    return [
        Given(found.name, found.datatype, found.shape, _reader(found, raw[index] if raw else None))
        for index, found in enumerate(request.inputs)
    ]


def _reader(found: pb.ModelInferRequest.InferInputTensor, raw: bytes | None) -> Read:
    if raw is None:
        return partial(from_contents, found.contents)
    if found.HasField("contents"):
        raise wrong(found.name, "it has contents and raw_input_contents; give one")
    return partial(from_bytes, raw)


def from_contents(contents: pb.InferTensorContents, datatype: Datatype, shape: Shape) -> Sequence[Element]:
    """The elements from the field that fits the datatype. Raises MalformedError."""
    filled = [field.name for field, _ in contents.ListFields()]
    if filled not in ([], [datatype.field]):
        raise MalformedError(f"its elements are in {', '.join(filled)}; {datatype.name} belongs in {datatype.field}")
    elements: Sequence[Any] = getattr(contents, datatype.field)
    checked(elements, datatype, shape)
    return elements if datatype.code else [text(element, index) for index, element in enumerate(elements)]


def to_contents(tensor: Tensor) -> pb.InferTensorContents:
    datatype = DATATYPES[tensor.datatype]
    elements = tensor.elements if datatype.code else [str(element).encode() for element in tensor.elements]
    contents: dict[str, Any] = {datatype.field: elements}
    return pb.InferTensorContents(**contents)


def _answer(inferred: Inferred, *, raw: bool) -> pb.ModelInferResponse:
    """A client that sent raw contents gets such; one that did not can read typed ones."""
    answer = pb.ModelInferResponse(model_name=inferred.model, model_version=inferred.version, id=inferred.id)
    for tensor in inferred.outputs:
        output = answer.outputs.add(
            name=tensor.name, datatype=tensor.datatype, shape=tensor.shape,
            parameters=_parameters(dict(tensor.parameters)),
        )  # fmt: skip
        if raw:
            answer.raw_output_contents.append(to_bytes(tensor))
        else:
            output.contents.CopyFrom(to_contents(tensor))
    return answer
