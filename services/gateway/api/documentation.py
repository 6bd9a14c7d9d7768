"""`/openapi.json` and `/docs`."""

import asyncio
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.gateway.api.routes import ApiRoute

PATH = "/openapi.json"


class Documentation:
    """Of these routes; made when it is first asked for, beside the event loop."""

    def __init__(self, routes: Sequence[ApiRoute]) -> None:
        self._described = routes
        self._pages: tuple[bytes, bytes] | None = None
        self.routes = [Route(PATH, self._document), Route("/docs", self._page)]

    async def _document(self, _: Request) -> Response:
        return Response((await self._made())[0], media_type="application/json")

    async def _page(self, _: Request) -> Response:
        return HTMLResponse((await self._made())[1])

    async def _made(self) -> tuple[bytes, bytes]:
        if self._pages is None:
            self._pages = await asyncio.to_thread(self._make)
        return self._pages

    def _make(self) -> tuple[bytes, bytes]:
        from services.gateway.api.openapi import pages  # noqa: PLC0415 - FastAPI takes 7 MiB

        return pages(self._described, PATH)
