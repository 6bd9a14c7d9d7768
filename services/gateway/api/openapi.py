"""What `/openapi.json` and `/docs` hold. FastAPI makes it, and takes 7 MiB and half a second for that: this module is
imported when somebody asks."""

from collections.abc import Sequence
from importlib.metadata import version

import msgspec
from fastapi import Depends, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.security import HTTPBearer
from starlette.responses import Response

from services.gateway.api.routes import ApiRoute

DESCRIPTION = """Every model a team serves behind one door: language models in the OpenAI and Anthropic APIs, task
models in typed ones. Send an API key as `Authorization: Bearer …`. Every answer carries `x-request-id`; a model's
answer also `x-naru-model`, `x-naru-version` and `x-naru-endpoint`."""


def pages(routes: Sequence[ApiRoute], path: str) -> tuple[bytes, bytes]:
    """The OpenAPI document of these routes, and the page that shows it, given the document's path."""
    app = FastAPI(title="Naru", description=DESCRIPTION, version=version("naru"))
    key = Depends(HTTPBearer(auto_error=False, description="An API key of this gateway."))
    for route in routes:
        app.add_api_route(
            route.path, route.answer, methods=[route.method], summary=route.summary, tags=[route.tag],
            operation_id=route.name, response_class=Response, dependencies=[key] if route.keyed else [],
            responses={200: {"model": route.result}} if route.result is not None else None,
            openapi_extra=dict(route.details),
        )  # fmt: skip
    page = get_swagger_ui_html(openapi_url=path, title="Naru")
    return msgspec.json.encode(app.openapi()), bytes(page.body)
