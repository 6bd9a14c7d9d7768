"""The Open Inference Protocol without a transport: metadata, readiness, inference. REST and gRPC both call this."""

import asyncio
import re
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version as version_of
from typing import Any

import msgspec

from services.common.errors import InvalidField, InvalidRequest, NaruError, UnknownModel, UpstreamError
from services.gateway.api.door import Admitted, Door
from services.gateway.api.oip import recommendation, sentiment
from services.gateway.api.oip.signature import LONGEST_NAME, Body, Inputs, Parameters, Signature, TensorSpec, wrong
from services.gateway.api.oip.tensors import Given, Tensor
from services.gateway.api.operations import OPERATIONS
from services.gateway.policy.keyring import Principal
from services.gateway.relay.cached import CACHE_HEADER
from services.gateway.relay.call import Call
from services.gateway.relay.gather import Whole, refusal
from services.gateway.routing.fleet import ModelPool
from services.gateway.routing.hints import Hints
from services.gateway.upstream.exchange import Headers

NAME = "naru"
EXTENSIONS = ("binary_tensor_data",)
SIGNATURES = {made.surface.task: made for made in (sentiment.SIGNATURE, recommendation.SIGNATURE)}
_ANSWERED = (b"x-naru-model", b"x-naru-version", b"x-naru-endpoint", CACHE_HEADER)
Ask = Callable[[Call], Coroutine[Any, Any, Whole]]
_PARAM = re.compile(r"(\w+)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class ServerMetadata:
    name: str = NAME
    version: str = version_of("naru")
    extensions: tuple[str, ...] = EXTENSIONS


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    parameters: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks to be inferred."""

    model: str
    version: str | None
    id: str
    inputs: Sequence[Given]
    outputs: Sequence[str]
    """Names of the outputs that are wanted; none means all."""
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Ready:
    """A request whose tensors are read and whose calls may go."""

    id: str
    signature: Signature
    inputs: Inputs
    calls: list[Call]
    wanted: list[str]


@dataclass(frozen=True, slots=True)
class Inferred:
    id: str
    model: str
    version: str
    """Empty where the users of one request were answered by different versions."""
    outputs: list[Tensor]
    headers: Headers


class Inference:
    def __init__(self, door: Door) -> None:
        self._door = door

    @property
    def taking(self) -> bool:
        """Whether new requests are taken. That one model is not ready does not change it."""
        return not self._door.gate.draining

    def ready(self, name: str, version: str | None) -> bool:
        """Raises UnknownModel, UnknownVersion."""
        pool = self._door.gate.served(name)
        pool.check(Hints(version))
        if version is None:
            return pool.ready
        return any(endpoint.healthy for endpoint in pool.endpoints if endpoint.version == version)

    def metadata(self, principal: Principal, name: str, version: str | None) -> ModelMetadata:
        """Raises Draining, UnknownModel, UnknownVersion, PermissionDenied."""
        pool = self._door.gate.named(principal, name)
        pool.check(Hints(version))
        versions = (version,) if version else tuple(pool.entry.versions)
        signature = SIGNATURES.get(pool.task)
        if signature is None:
            return ModelMetadata(
                pool.served_name, versions, f"naru_{pool.task}", parameters=(("served_at", _elsewhere(pool)),)
            )
        return ModelMetadata(pool.served_name, versions, f"naru_{pool.task}", signature.inputs, signature.outputs)

    def prepare(self, admitted: Admitted, asked: Asked) -> Ready:
        """Raises InvalidTensor, InvalidRequest, UnknownVersion and what `Gate.named` raises."""
        pool = self._door.gate.named(admitted.principal, asked.model)
        signature = SIGNATURES.get(pool.task)
        if signature is None:
            raise UnknownModel(
                f"model {pool.served_name!r} takes no tensors: send it {_elsewhere(pool)}", param="model_name"
            )
        if asked.version:
            admitted = msgspec.structs.replace(admitted, hints=replace(admitted.hints, version=asked.version))
            pool.check(admitted.hints)
        wanted = _wanted(signature, asked.outputs)
        inputs = signature.read(asked.inputs)
        bodies = signature.bodies(inputs, asked.parameters)
        calls = [self._call(admitted, signature, {"model": asked.model, **body}) for body in bodies]
        return Ready(asked.id, signature, inputs, calls, wanted)

    def _call(self, admitted: Admitted, signature: Signature, body: Body) -> Call:
        try:
            pool, order = signature.surface.prepare(self._door.gate, admitted.principal, msgspec.json.encode(body))
        except InvalidField as error:
            raise _in_tensor(signature, error.message, error.param) from None
        return self._door.call(admitted, pool, order)

    async def infer(self, ready: Ready, ask: Ask) -> Inferred:
        """`ask`: how the edge gets a call's answer. Raises NaruError; the calls are counted and logged then."""
        wholes = await _all(ready.calls, ask)
        for whole in wholes:
            if whole.status >= 400:
                raise _refused(ready.signature, whole)
        model = ready.calls[0].pool.served_name
        try:
            answers = [msgspec.json.decode(whole.body, type=Body) for whole in wholes]
            outputs = {tensor.name: tensor for tensor in ready.signature.tensors(ready.inputs, answers)}
        except (msgspec.DecodeError, LookupError, TypeError, ValueError):
            raise UpstreamError(f"model {model!r} gave an answer that is not what its task promises") from None
        headers = _common(wholes)
        said = {name: value.decode() for name, value in headers}
        chosen = [outputs[name] for name in ready.wanted]
        return Inferred(ready.id, said.get(b"x-naru-model", model), said.get(b"x-naru-version", ""), chosen, headers)


async def _all(calls: Sequence[Call], ask: Ask) -> list[Whole]:
    """All of the answers, or the first error: calls beside a failed one end by themselves, as the metrics say."""
    wholes = []
    for answer in await asyncio.gather(*map(ask, calls), return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer
        wholes.append(answer)
    return wholes


def _elsewhere(pool: ModelPool) -> str:
    """The routes of a model that takes no tensors."""
    return ", ".join(f"POST {operation.path}" for operation in OPERATIONS if operation.task is pool.task)


def _wanted(signature: Signature, names: Sequence[str]) -> list[str]:
    made = [spec.name for spec in signature.outputs]
    for name in names:
        if name not in made:
            shown = name[:LONGEST_NAME]
            raise InvalidRequest(
                f"output {shown!r}: the model has no such output; it has {', '.join(made)}", param=shown
            )
    return list(dict.fromkeys(names)) or made


def _in_tensor(signature: Signature, message: str, param: str | None) -> InvalidRequest:
    """A surface's word on its field, said of the tensor that the field came from."""
    match = _PARAM.fullmatch(param or "")
    if match is None or param is None:
        return InvalidRequest(message, param=param)
    name = signature.fields.get(match[1], match[1])
    fault = message.removeprefix(f"{param}: ").replace(f"'{param}'", "it")
    return wrong(name, f"element {match[2]}: {fault}" if match[2] else fault)


def _refused(signature: Signature, whole: Whole) -> NaruError:
    """A service's own 4xx, in this protocol's terms."""
    error = refusal(whole)
    return _in_tensor(signature, error.message, error.param) if error.http_status in (400, 422) else error


def _common(wholes: Sequence[Whole]) -> Headers:
    """Which model, version and endpoint answered, as far as all the answers agree."""
    found = {name: {value for whole in wholes for key, value in whole.headers if key == name} for name in _ANSWERED}
    return [(name, values.pop()) for name, values in found.items() if len(values) == 1]
