"""The application that clients reach, put together from its surfaces."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from services.common.errors import NaruError
from services.gateway.api.documentation import Documentation
from services.gateway.api.errors import Failures
from services.gateway.api.http_edge import HttpEdge
from services.gateway.api.oip.inference import Inference
from services.gateway.api.oip.rest import oip_routes
from services.gateway.api.openai import openai_routes
from services.gateway.api.operations import OPERATIONS
from services.gateway.api.page.routes import page_routes
from services.gateway.api.request_id import RequestIdMiddleware, request_ids
from services.gateway.api.routes import ApiRoute
from services.gateway.api.tasks import SURFACES, tasks_routes
from services.gateway.metrics import Metrics
from services.gateway.request_log import RequestLog
from services.gateway.tracing.trace import Traces


def client_failures(metrics: Metrics, log: RequestLog, traces: Traces) -> Failures:
    """What answers, counts, logs and traces requests that never became a call, over whichever HTTP carrier."""
    paths = {operation.path: operation.name for operation in OPERATIONS}
    paths |= {surface.path: surface.operation for surface in SURFACES} | {"/v1/models": "models"}
    return Failures(metrics, log, traces, paths, request_ids())


def client_routes(edge: HttpEdge) -> list[ApiRoute]:
    return openai_routes(edge) + tasks_routes(edge) + oip_routes(edge, Inference(edge.door))


def client_app(edge: HttpEdge, failures: Failures, *, page: bool) -> Starlette:
    routes = client_routes(edge)
    app = Starlette(
        routes=[
            *(Route(route.path, route.answer, methods=[route.method]) for route in routes),
            *Documentation(routes).routes,
            *(page_routes() if page else ()),
        ],
        middleware=[Middleware(RequestIdMiddleware, new_id=failures.new_id)],
        exception_handlers={
            NaruError: failures.on_naru_error, HTTPException: failures.on_http_error, Exception: failures.on_defect,
        },
    )  # fmt: skip
    app.router.redirect_slashes = False
    return app
