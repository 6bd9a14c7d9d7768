"""Moves one stream to another endpoint when its engine dies: what to send, what it costs, what to count."""

import asyncio

import msgspec

from services.common.errors import NaruError, UpstreamError, UpstreamTimeout
from services.gateway.relay.call import Call
from services.gateway.relay.context import RelayContext
from services.gateway.relay.counting import tokens_of
from services.gateway.relay.migration import CHAT_PATH, Continuation, Splice, Transcript, conversation
from services.gateway.routing.dispatch import Dispatch
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.fetch import fetch, within

_COUNTING = within(2.0)


class _Count(msgspec.Struct):
    count: int


_read_count = msgspec.json.Decoder(_Count).decode


def can_move(call: Call, dispatch: Dispatch, context: RelayContext) -> bool:
    """Whether what a stream says is worth remembering: it is a chat, and there is somewhere else to continue it."""
    if not (context.migrations and call.stream and call.path == CHAT_PATH) or dispatch.endpoint is None:
        return False
    version, endpoints = dispatch.endpoint.version, dispatch.pool.endpoints
    return len(endpoints) > 1 and len([endpoint for endpoint in endpoints if endpoint.version == version]) > 1


class Mover:
    def __init__(self, call: Call, dispatch: Dispatch, context: RelayContext, body: bytes) -> None:
        """`body` is the request as the first engine got it."""
        self.transcript = Transcript(context.migration_text)
        self.body = body
        """What the next engine gets."""
        self._call, self._dispatch, self._metrics = call, dispatch, context.metrics
        self._first_body = body
        self._left = context.migrations
        self._splice: Splice | None = None
        self.moved = False
        """Whether events are another engine's than the client knows of."""
        self._arrived = True
        self._task: asyncio.Task[None] | None = None

    def begin(self, error: NaruError) -> bool:
        """The engine died. Whether the stream goes on elsewhere; if so `Dispatch.carry_on` is under way."""
        if isinstance(error, UpstreamTimeout):
            return False  # as with a retry: a load that one endpoint could not carry is not moved to the next
        continuation = self._continuation()
        if continuation is None:
            self._count("unsafe")
            return False
        endpoint = self._dispatch.sibling() if self._left else None
        if endpoint is None:
            self._count("unavailable")
            return False
        self._left -= 1
        self._task = asyncio.create_task(self._continue(endpoint, continuation))
        return True

    def end(self) -> None:
        """The stream is over."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        if not self._arrived:
            self._count("failed")

    def event(self, event: bytes) -> bytes | None:
        """An event as the client gets it, if it does."""
        if self._splice is None:
            return event
        if not self._arrived:
            self._arrived = True
            self._count("continued")
        return self._splice.event(event)

    def _continuation(self) -> Continuation | None:
        transcript = self.transcript
        if transcript.finished or not transcript.plain:
            return None
        messages = conversation(self._first_body)
        return None if messages is None else Continuation(self._first_body, messages, transcript.text)

    async def _continue(self, endpoint: Endpoint, continuation: Continuation) -> None:
        prompt, spent = await self._tokens(endpoint, continuation)
        self._splice, self.moved = Splice(self.transcript.identity(), prompt, spent), True
        self._arrived = False
        self.body = continuation.request(spent)
        self._task = None
        self._dispatch.carry_on(endpoint)

    async def _tokens(self, endpoint: Endpoint, continuation: Continuation) -> tuple[int | None, int]:
        """Tokens of the conversation and of the text so far, by the engine's own tokenizer.

        An engine that does not tell leaves the conversation to what its usage says, and each event for a token.
        """
        if not continuation.text:
            return None, 0
        pieces = self.transcript.pieces

        async def count(text: str | None = None) -> int:
            return await self._ask_count(endpoint, continuation.count_request(text))

        try:
            prompt, spent = await asyncio.gather(count(), tokens_of(pieces, count))
        except (UpstreamError, msgspec.DecodeError, UnicodeDecodeError):
            return None, len(pieces)
        return prompt, spent

    async def _ask_count(self, endpoint: Endpoint, body: bytes) -> int:
        """Raises UpstreamError, DecodeError, UnicodeDecodeError."""
        status, answer = await fetch(endpoint, "/tokenize", _COUNTING, self._call.head, body)
        if status != 200:
            raise UpstreamError(f"endpoint {endpoint.authority} counted no tokens: status {status}")
        return _read_count(answer).count

    def _count(self, outcome: str) -> None:
        endpoint = self._dispatch.endpoint
        version = endpoint.version if endpoint else ""
        self._metrics.migrations.labels(self._dispatch.pool.name, version, outcome).inc()
