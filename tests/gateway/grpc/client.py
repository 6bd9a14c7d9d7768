"""A real gRPC client with the generated stubs."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from services.common.pb.naru.v1 import chat_pb2 as pb
from services.common.pb.naru.v1 import chat_pb2_grpc, recommendation_pb2_grpc, sentiment_pb2_grpc
from tests.support.engine import Engine, Script, engine, hello
from tests.support.gateway import KEY, Running, chat_registry, running

METADATA = (("authorization", f"Bearer {KEY}"),)


@dataclass
class Stubs:
    """The generated stubs have no types."""

    channel: grpc.aio.Channel
    chat: Any
    sentiment: Any
    recommendation: Any

    def stream(self, content: str = "hi", metadata: Sequence[tuple[str, str]] = METADATA, **call: Any) -> Any:
        request = pb.StreamChatRequest(chat=asking(content), stream_options=pb.StreamOptions(include_usage=True))
        return self.chat.StreamChat(request, metadata=metadata, **call)


def asking(content: str = "hi", **fields: Any) -> pb.ChatRequest:
    return pb.ChatRequest(model="m", messages=[pb.ChatMessage(role=pb.ROLE_USER, content=content)], **fields)


@contextlib.asynccontextmanager
async def calling(
    gateway: Running, credentials: grpc.ChannelCredentials | None = None, options: Sequence[tuple[str, Any]] = ()
) -> AsyncIterator[Stubs]:
    target = f"localhost:{gateway.gateway.grpc.port}"
    apart = [("grpc.use_local_subchannel_pool", 1), *options]
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=apart)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=apart)
    async with channel:
        yield Stubs(
            channel, chat_pb2_grpc.ChatServiceStub(channel), sentiment_pb2_grpc.SentimentServiceStub(channel),
            recommendation_pb2_grpc.RecommendationServiceStub(channel),
        )  # fmt: skip


@contextlib.asynccontextmanager
async def serving(
    folder: Path, script: Script = hello, **settings: Any
) -> AsyncIterator[tuple[Engine, Running, Stubs]]:
    """A scripted engine, a gateway in front of it and a client of that."""
    async with (
        engine(script) as upstream,
        running(chat_registry(upstream.url), folder, **settings) as gateway,
        calling(gateway) as client,
    ):
        yield upstream, gateway, client


async def fallen_ill(upstream: Engine, gateway: Running) -> None:
    """The engine's health checks fail, and the gateway knows it."""
    upstream.healthy = False
    async with asyncio.timeout(30):
        while any(endpoint.healthy for endpoint in gateway.gateway.health.rounds.followed):
            await asyncio.sleep(0.02)


async def drained(call: Any) -> list[pb.StreamChatResponse]:
    return [piece async for piece in call]


def text(pieces: Sequence[pb.StreamChatResponse]) -> str:
    return "".join(choice.delta.content for piece in pieces for choice in piece.choices)


@dataclass
class Details:
    reason: str = ""
    retry_after: int | None = None
    field: str | None = None


def details(error: grpc.aio.AioRpcError) -> Details:
    """What the error's google.rpc.Status says, read by the official client library."""
    status: status_pb2.Status | None = rpc_status.from_call(error)
    assert status is not None
    found = Details()
    for box in status.details:
        info, retry, bad = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo(), error_details_pb2.BadRequest()
        if box.Unpack(info):
            found.reason = info.reason
        elif box.Unpack(retry):
            found.retry_after = retry.retry_delay.seconds
        elif box.Unpack(bad):
            found.field = bad.field_violations[0].field
    return found
