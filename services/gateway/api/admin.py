"""The admin port: `/metrics`, `/livez`, `/readyz`, and what `management.py` adds. Never for clients."""

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from services.gateway.policy.drain import Drain
from services.gateway.routing.fleetsource import FleetSource


def admin_app(
    registry: CollectorRegistry, settle: Callable[[], None], source: FleetSource, drain: Drain,
    management: Sequence[BaseRoute] = (),
) -> Starlette:  # fmt: skip
    """`settle` enters into the metrics what waits to be; without `management` nothing can be changed here."""

    async def metrics(request: Request) -> Response:
        settle()
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    async def livez(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(_: Request) -> Response:
        """Whether this gateway takes requests; what the models are like is said beside it.

        A model without an endpoint does not take the gateway out of service: the others still answer, and for that
        one a clear 503 is better than no connection. A gateway that does not know yet where its models answer, while
        others may, is not ready.
        """
        models = {name: pool.ready for name, pool in source.live.fleet.models.items()}
        ready = source.complete and not drain.draining
        return JSONResponse({"ready": ready, "models": models}, 200 if ready else 503)

    own = [Route("/metrics", metrics), Route("/livez", livez), Route("/readyz", readyz)]
    return Starlette(routes=[*own, *management])
