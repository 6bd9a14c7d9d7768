"""The application that clients reach, put together from its surfaces."""

from importlib.metadata import version

from fastapi import FastAPI
from starlette.exceptions import HTTPException

from services.common.errors import NaruError
from services.gateway.api.errors import Failures
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.oip.inference import Inference
from services.gateway.api.oip.rest import oip_router
from services.gateway.api.openai import openai_router
from services.gateway.api.operations import OPERATIONS
from services.gateway.api.request_id import RequestIdMiddleware, request_ids
from services.gateway.api.tasks import SURFACES, tasks_router
from services.gateway.metrics import Metrics
from services.gateway.request_log import RequestLog

DESCRIPTION = """Every model a team serves behind one door: language models in the OpenAI and Anthropic APIs, task
models in typed ones. Send an API key as `Authorization: Bearer …`. Every answer carries `x-request-id`; a model's
answer also `x-naru-model`, `x-naru-version` and `x-naru-endpoint`."""


def client_failures(metrics: Metrics, log: RequestLog) -> Failures:
    """What answers, counts and logs requests that never became a call, over whichever HTTP carrier."""
    paths = {operation.path: operation.name for operation in OPERATIONS}
    paths |= {surface.path: surface.operation for surface in SURFACES} | {"/v1/models": "models"}
    return Failures(metrics, log, paths, request_ids())


def client_app(edge: HttpEdge, failures: Failures) -> FastAPI:
    app = FastAPI(
        title="Naru", description=DESCRIPTION, version=version("naru"), redirect_slashes=False, redoc_url=None,
        exception_handlers={
            NaruError: failures.on_naru_error, HTTPException: failures.on_http_error, Exception: failures.on_defect,
        },
    )  # fmt: skip
    app.include_router(openai_router(edge))
    app.include_router(tasks_router(edge))
    app.include_router(oip_router(edge, Inference(edge.door)))
    app.add_middleware(RequestIdMiddleware, new_id=failures.new_id)
    return app
