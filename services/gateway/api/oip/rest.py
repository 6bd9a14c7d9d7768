"""`/v2`: the Open Inference Protocol over HTTP."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.common.errors import ClientGone, InvalidRequest, NaruError
from services.gateway.api.door import Door
from services.gateway.api.errors import error_response
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.oip import rest_codec
from services.gateway.api.oip.inference import Inference, Inferred, ModelMetadata, ServerMetadata
from services.gateway.api.oip.signature import TensorSpec
from services.gateway.api.routes import ApiRoute, path_parameters
from services.gateway.relay.account import LIMIT_HEADER
from services.gateway.relay.call import Call
from services.gateway.relay.gather import Gathered, Whole
from services.gateway.upstream.exchange import Headers

PATHS = {
    "/v2/models/{model:path}/versions/{version:path}": "one version of a model", "/v2/models/{model:path}": "a model",
}  # fmt: skip
"""A model's name may hold slashes, so the path that says more comes first."""
TAG = "Open Inference Protocol"
_SCHEMA = {
    "type": "object",
    "required": ["inputs"],
    "properties": {"inputs": {"type": "array", "items": {"type": "object"}}},
    "description": "Binary tensor data may follow the JSON, whose length Inference-Header-Content-Length then gives.",
}
_EXAMPLE = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["What a lovely ferry ride!"]}]}
_BODY = {"required": True, "content": {"application/json": {"schema": _SCHEMA, "example": _EXAMPLE}}}


def oip_routes(edge: HttpEdge, inference: Inference) -> list[ApiRoute]:
    return _server(inference) + _models(edge, inference)


def _server(inference: Inference) -> list[ApiRoute]:
    async def metadata(_: Request) -> Response:
        return Response(msgspec.json.encode(ServerMetadata()), media_type="application/json")

    async def live(_: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(_: Request) -> Response:
        return JSONResponse({"ready": inference.taking}, 200 if inference.taking else 503)

    return [
        ApiRoute("GET", "/v2", metadata, "What this server is", TAG, keyed=False, result=ServerMetadata),
        ApiRoute(
            "GET", "/v2/health/live", live, "Whether the gateway can answer", TAG, keyed=False, result=dict[str, bool]
        ),
        ApiRoute("GET", "/v2/health/ready", ready, "Whether the gateway takes new requests", TAG, keyed=False),
    ]


def _models(edge: HttpEdge, inference: Inference) -> list[ApiRoute]:
    async def infer(request: Request) -> Response:
        return await _infer(request, edge, inference)

    async def ready(request: Request) -> Response:
        name, version = _named(request)
        healthy = inference.ready(name, version)
        return JSONResponse({"name": name, "ready": healthy}, 200 if healthy else 503)

    async def metadata(request: Request) -> Response:
        return JSONResponse(_metadata(inference.metadata(edge.enter(request), *_named(request))))

    routes = []
    for path, what in PATHS.items():
        named = path_parameters(path)
        run = {"requestBody": _BODY, **named}
        routes.append(ApiRoute("POST", f"{path}/infer", infer, f"Run {what}", TAG, details=run))
        routes.append(
            ApiRoute("GET", f"{path}/ready", ready, f"Whether {what} is ready", TAG, keyed=False, details=named)
        )
    for path, what in PATHS.items():
        routes.append(ApiRoute("GET", path, metadata, f"The tensors of {what}", TAG, details=path_parameters(path)))
    return routes


def _named(request: Request) -> tuple[str, str | None]:
    return request.path_params["model"], request.path_params.get("version")


async def _infer(request: Request, edge: HttpEdge, inference: Inference) -> Response:
    admitted = await edge.admit(request)
    if request.headers.get("content-encoding", "identity") != "identity":
        raise InvalidRequest("a compressed body is not read here: send it without Content-Encoding")
    length = request.headers.get(rest_codec.HEADER_LENGTH)
    asked, wishes = rest_codec.read(admitted.body, length, *_named(request))
    # What the client accepts is said of this answer; the model's service is asked for JSON.
    passed = tuple(header for header in admitted.passed if header[0] != b"accept")
    ready = inference.prepare(msgspec.structs.replace(admitted, passed=passed), asked)
    calls = _Calls(edge.door)
    try:
        inferred = await _while_there(request, inference.infer(ready, calls.ask))
    except NaruError as error:  # its calls were counted and logged as they ended
        refusal = error_response(error, request.url.path)
        refusal.raw_headers.extend(calls.limits)
        return refusal
    body, json_length = rest_codec.write(inferred, wishes)
    response = Response(body, media_type="application/json")
    if json_length is not None:
        response.headers["content-type"] = "application/octet-stream"
        response.headers[rest_codec.HEADER_LENGTH] = str(json_length)
    response.raw_headers.extend([*inferred.headers, *calls.limits])
    return response


class _Calls:
    """The calls of one request."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.limits: Headers = []
        """What is left of the caller's limits, by the call that a limit refused or else the last one."""

    async def ask(self, call: Call) -> Whole:
        """A call's whole answer. Raises NaruError; to cancel the waiting stops the engine."""
        gathered = Gathered()
        relay = self._door.open(call, gathered)
        relay.begin()
        try:
            return await gathered.answer
        finally:
            relay.leave()
            if not any(name == LIMIT_HEADER for name, _ in self.limits):
                self.limits = list(call.account.headers)


async def _while_there(request: Request, work: Coroutine[Any, Any, Inferred]) -> Inferred:
    """The work's result; a client that leaves ends the work. Raises ClientGone and what the work raises."""
    working, left = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait([working, left], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise ClientGone("the client left before its answer was complete")
    finally:
        working.cancel()
        left.cancel()


def _metadata(metadata: ModelMetadata) -> dict[str, Any]:
    described: dict[str, Any] = {
        "name": metadata.name, "versions": metadata.versions, "platform": metadata.platform,
        "inputs": [_tensor(spec) for spec in metadata.inputs], "outputs": [_tensor(spec) for spec in metadata.outputs],
    }  # fmt: skip
    return described | ({"parameters": dict(metadata.parameters)} if metadata.parameters else {})


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    described: dict[str, Any] = {"name": spec.name, "datatype": spec.datatypes[0], "shape": spec.shapes[0]}
    return described | ({"parameters": spec.said} if spec.said else {})
