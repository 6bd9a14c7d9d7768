"""The admin port: `/metrics`, `/livez`, `/readyz`, and what `management.py` adds. Never for clients."""

from collections.abc import Callable

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from services.common.errors import NaruError
from services.gateway.api.management import Management, management_router, on_invalid, on_naru_error
from services.gateway.policy.drain import Drain
from services.gateway.routing.fleet import LiveFleet


def admin_app(
    registry: CollectorRegistry, settle: Callable[[], None], live: LiveFleet, drain: Drain,
    management: Management | None = None,
) -> FastAPI:  # fmt: skip
    """`settle` enters into the metrics what waits to be; without `management` nothing can be changed here."""
    app = FastAPI(
        title="Naru admin", docs_url=None, redoc_url=None, openapi_url=None,
        exception_handlers={NaruError: on_naru_error, RequestValidationError: on_invalid},
    )  # fmt: skip
    if management is not None:
        app.include_router(management_router(management))

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        settle()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    @app.get("/livez")
    async def livez() -> Response:
        return PlainTextResponse("ok\n")

    @app.get("/readyz")
    async def readyz() -> Response:
        """Whether this gateway takes requests; what the models are like is said beside it.

        A model without an endpoint does not take the gateway out of service: the others still answer, and for that
        one a clear 503 is better than no connection.
        """
        models = {name: pool.ready for name, pool in live.fleet.models.items()}
        return JSONResponse({"ready": not drain.draining, "models": models}, 503 if drain.draining else 200)

    return app
