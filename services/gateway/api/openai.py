"""`/v1`: the OpenAI and Anthropic APIs, relayed in the engine's own words, and the list of models."""

import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from fastapi.security import HTTPBearer
from starlette.requests import Request
from starlette.responses import Response

from services.common.errors import UnknownModel
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.operations import OPERATIONS, Operation
from services.gateway.routing.fleet import ModelPool

documented = Annotated[object, Depends(HTTPBearer(auto_error=False, description="An API key of this gateway."))]
"""Makes `/docs` ask for a key; the door checks it."""


def openai_router(edge: HttpEdge) -> APIRouter:
    router = APIRouter(tags=["language models"])
    started = int(time.time())

    for operation in OPERATIONS:
        router.add_api_route(
            operation.path, _relayed(edge, operation), methods=["POST"], summary=operation.summary,
            operation_id=operation.name, response_class=Response, openapi_extra=_documented(operation),
        )  # fmt: skip

    @router.get("/v1/models", summary="The models this key may use")
    async def list_models(request: Request, _: documented) -> dict[str, Any]:
        pools = edge.gate.visible(edge.enter(request))
        return {"object": "list", "data": [_model(pool, started) for pool in pools]}

    @router.get("/v1/models/{model:path}", summary="One model")
    async def get_model(request: Request, model: str, _: documented) -> dict[str, Any]:
        pools = edge.gate.visible(edge.enter(request))
        pool = next((pool for pool in pools if pool.served_name == model), None)
        if pool is None:
            raise UnknownModel("no such model; GET /v1/models lists what this key may use", param="model")
        return _model(pool, started)

    return router


def _relayed(edge: HttpEdge, operation: Operation) -> Callable[[Request, object], Awaitable[Response]]:
    async def relayed(request: Request, _: documented) -> Response:
        admitted = await edge.admit(request)
        pool, order = operation.prepare(edge.gate, admitted.principal, admitted.body)
        return edge.relay(admitted, pool, order)

    return relayed


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
    versions = list(dict.fromkeys(endpoint.version for endpoint in pool.endpoints))
    return {
        "id": pool.served_name, "object": "model", "created": started, "owned_by": "naru",
        "task": str(pool.task), "versions": versions, "ready": pool.ready,
        **({"parent": pool.name} if pool.adapter else {}),
    }  # fmt: skip
