"""`POST /analyze`: check, classify, answer."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from services.common.errors import BodyTooLarge, ClientGone, DeadlineExceeded, InternalError, NaruError, Unavailable
from services.sentiment.batching import Batcher, Row
from services.sentiment.contract import Limits, answer, parse, refusal
from services.sentiment.settings import SentimentSection

_RETRY_AFTER = 1


class AnalyzeEdge:
    """`batcher` is asked for at each request, because the model is loaded after the routes exist."""

    def __init__(self, settings: SentimentSection, batcher: Callable[[], Batcher]) -> None:
        self._settings = settings
        self._limits = Limits(settings.max_texts, settings.max_characters, settings.max_total_characters)
        self._batcher = batcher

    def application(self) -> Starlette:
        routes = [Route("/analyze", self.analyze, methods=["POST"])]
        return Starlette(routes=routes, exception_handlers={Exception: _failed})

    async def analyze(self, request: Request) -> JSONResponse:
        try:
            texts = parse(await self._body(request), self._limits)
            rows = await self._until_gone(request, self._classify(texts))
        except NaruError as error:
            headers = {"Retry-After": str(error.retry_after)} if error.retry_after else None
            return JSONResponse(refusal(error), error.http_status, headers)
        return JSONResponse(answer(self._settings.model, self._settings.version, rows))

    async def _body(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > self._settings.max_body:
                    raise BodyTooLarge(f"the body has more than {self._settings.max_body} bytes")
        except ClientDisconnect as error:
            raise ClientGone("the client left before its request was complete") from error
        return bytes(body)

    async def _classify(self, texts: list[str]) -> list[Row]:
        """Raises Unavailable where too many texts wait already; one request is let in however long it is."""
        batcher = self._batcher()
        if batcher.waiting and batcher.waiting + len(texts) > self._settings.max_waiting:
            raise Unavailable("too many texts are waiting; try again", retry_after=_RETRY_AFTER)
        try:
            async with asyncio.timeout(self._settings.timeout):
                return await batcher(texts)
        except TimeoutError as error:
            raise DeadlineExceeded(f"no answer within {self._settings.timeout:g} seconds") from error

    async def _until_gone(self, request: Request, work: Awaitable[list[Row]]) -> list[Row]:
        """Gives up the work when the client leaves, so that nobody waits behind an answer that nobody reads."""
        working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(request.receive())
        try:
            await asyncio.wait([working, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientGone("the client left before its answer was ready")
            return working.result()
        finally:
            working.cancel()
            leaving.cancel()


async def _failed(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001 - what Starlette calls it with
    return JSONResponse(refusal(InternalError("the model failed; the service's log says why")), 500)
