"""`/v1`: the OpenAI and Anthropic APIs, relayed in the engine's own words, and the list of models."""

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from services.common.errors import UnknownModel
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.operations import OPERATIONS, Operation
from services.gateway.api.routes import ApiRoute, path_parameters
from services.gateway.routing.fleet import ModelPool

TAG = "language models"


def openai_routes(edge: HttpEdge) -> list[ApiRoute]:
    relayed = [
        ApiRoute(
            "POST", operation.path, _relayed(edge, operation), operation.summary, TAG, operation.name,
            details=_documented(operation),
        )
        for operation in OPERATIONS
    ]  # fmt: skip
    return relayed + _models(edge)


def _relayed(edge: HttpEdge, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    async def relayed(request: Request) -> Response:
        admitted = await edge.admit(request)
        pool, order = operation.prepare(edge.gate, admitted.principal, admitted.body)
        return edge.relay(admitted, pool, order)

    return relayed


def _models(edge: HttpEdge) -> list[ApiRoute]:
    started = int(time.time())

    async def list_models(request: Request) -> Response:
        pools = edge.gate.visible(edge.enter(request))
        return JSONResponse({"object": "list", "data": [_model(pool, started) for pool in pools]})

    async def get_model(request: Request) -> Response:
        model, pools = request.path_params["model"], edge.gate.visible(edge.enter(request))
        pool = next((pool for pool in pools if pool.served_name == model), None)
        if pool is None:
            raise UnknownModel("no such model; GET /v1/models lists what this key may use", param="model")
        return JSONResponse(_model(pool, started))

    path = "/v1/models/{model:path}"
    return [
        ApiRoute("GET", "/v1/models", list_models, "The models this key may use", TAG, result=dict[str, Any]),
        ApiRoute("GET", path, get_model, "One model", TAG, result=dict[str, Any], details=path_parameters(path)),
    ]


def _documented(operation: Operation) -> dict[str, Any]:
    schema = {
        "type": "object",
        "required": ["model"],
        "properties": {"model": {"type": "string"}, "stream": {"type": "boolean", "default": False}},
        "additionalProperties": True,
        "description": "Every field of the API travels to the engine as it is.",
    }
    content = {"application/json": {"schema": schema, "example": operation.example}}
    return {"requestBody": {"required": True, "content": content}}


def _model(pool: ModelPool, started: int) -> dict[str, Any]:
    versions = list(pool.entry.versions)
    return {
        "id": pool.served_name, "object": "model", "created": started, "owned_by": "naru",
        "task": str(pool.task), "versions": versions, "ready": pool.ready,
        **({"parent": pool.name} if pool.adapter else {}),
    }  # fmt: skip
