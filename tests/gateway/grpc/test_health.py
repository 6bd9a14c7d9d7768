"""Health and reflection, by the official clients."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from tests.gateway.grpc.client import fallen_ill, serving
from tests.support.gateway import Running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
CHAT, SENTIMENT = "naru.v1.ChatService", "naru.v1.SentimentService"


def checking(service: str) -> Any:
    return health_pb2.HealthCheckRequest(service=service)


async def test_a_service_is_served_where_a_model_of_its_task_is_ready(tmp_path: Path) -> None:
    async with serving(tmp_path) as (upstream, gateway, client):
        health = health_pb2_grpc.HealthStub(client.channel)
        assert (await health.Check(checking(""))).status == SERVING
        assert (await health.Check(checking(CHAT))).status == SERVING
        assert (await health.Check(checking(SENTIMENT))).status == NOT_SERVING  # no such model is configured
        await fallen_ill(upstream, gateway)
        assert (await health.Check(checking(CHAT))).status == NOT_SERVING
        assert (await health.Check(checking(""))).status == SERVING
        listed = (await health.List(health_pb2.HealthListRequest())).statuses
        assert {"", CHAT, SENTIMENT} <= set(listed)


async def test_a_service_that_there_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, __, client):
        health = health_pb2_grpc.HealthStub(client.channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health.Check(checking("naru.v1.Nothing"))
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        watched = health.Watch(checking("naru.v1.Nothing"))
        assert (await watched.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        watched.cancel()


async def test_a_watch_sees_the_drain(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, client):
        watched = health_pb2_grpc.HealthStub(client.channel).Watch(checking(CHAT))
        assert (await watched.read()).status == SERVING
        await gateway.gateway.drain.finish(0)
        assert (await watched.read()).status == NOT_SERVING
        assert await watched.read() is grpc.aio.EOF


def described(gateway: Running) -> tuple[set[str], dict[str, str]]:
    """The services that reflection lists, and ChatService's methods with their answers' types."""
    with grpc.insecure_channel(f"localhost:{gateway.gateway.grpc.port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        service = DescriptorPool(database).FindServiceByName(CHAT)
        return set(database.get_services()), {method.name: method.output_type.name for method in service.methods}


async def test_reflection_describes_every_service(tmp_path: Path) -> None:
    async with serving(tmp_path) as (_, gateway, __):
        services, methods = await asyncio.to_thread(described, gateway)
    assert {CHAT, SENTIMENT, "naru.v1.RecommendationService", "grpc.health.v1.Health"} <= services
    assert methods == {"Chat": "ChatResponse", "StreamChat": "StreamChatResponse"}


async def test_reflection_can_be_off(tmp_path: Path) -> None:
    async with serving(tmp_path, grpc={"reflection": False}) as (_, gateway, __):
        with pytest.raises(grpc.RpcError) as caught:
            await asyncio.to_thread(described, gateway)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
