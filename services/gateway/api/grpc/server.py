"""The gRPC port: its services, its limits and its life."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.common.pb.inference import grpc_service_pb2_grpc
from services.common.pb.naru.v1 import (
    chat_pb2_grpc,
    recommendation_pb2_grpc,
    sentiment_pb2_grpc,
)
from services.gateway.api.door import Door
from services.gateway.api.errors import Failures
from services.gateway.api.grpc.certificate import ends
from services.gateway.api.grpc.chat import ChatServicer
from services.gateway.api.grpc.edge import GrpcError
from services.gateway.api.grpc.health import HealthServicer
from services.gateway.api.grpc.methods import Methods
from services.gateway.api.grpc.tasks import RecommendationServicer, SentimentServicer
from services.gateway.api.oip.inference import SIGNATURES, Inference
from services.gateway.api.oip.servicer import InferenceServicer
from services.gateway.policy.drain import Drain
from services.gateway.registry import Task
from services.gateway.routing.fleet import LiveFleet
from services.gateway.settings import GrpcSettings, TlsSettings


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    """In full, with its package."""
    operation: str
    """The word that metrics count refused calls under."""
    tasks: Collection[Task]
    """What it makes reachable."""
    add: Callable[[Any, Any], None]
    """The generated function that registers a servicer."""
    servicer: object


def services(settings: GrpcSettings, door: Door) -> tuple[Service, ...]:
    return (
        Service(
            "naru.v1.ChatService", "chat", (Task.CHAT,),
            chat_pb2_grpc.add_ChatServiceServicer_to_server, ChatServicer(settings.write_timeout),
        ),
        Service(
            "naru.v1.SentimentService", "sentiment", (Task.SENTIMENT,),
            sentiment_pb2_grpc.add_SentimentServiceServicer_to_server, SentimentServicer(),
        ),
        Service(
            "naru.v1.RecommendationService", "recommendation", (Task.RECOMMENDATION,),
            recommendation_pb2_grpc.add_RecommendationServiceServicer_to_server, RecommendationServicer(),
        ),
        Service(
            "inference.GRPCInferenceService", "inference", tuple(SIGNATURES),
            grpc_service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server, InferenceServicer(Inference(door)),
        ),
    )  # fmt: skip


class GrpcServer:
    """Built with the gateway, bound by `start`: a gRPC server belongs to the event loop it is made in."""

    def __init__(self, settings: GrpcSettings, door: Door, failures: Failures, live: LiveFleet, drain: Drain) -> None:
        self._settings, self._door, self._failures, self._live, self._drain = settings, door, failures, live, drain
        self._server: grpc.aio.Server | None = None
        self._retiring: asyncio.Task[None] | None = None
        self.port: int | None = None
        """The port in use, once started."""
        self.certificate_ends: float | None = None
        """Unix time at which the certificate in use ends, once started with one."""

    async def start(self) -> None:
        """Raises GrpcError."""
        self._server = server = grpc.aio.server(options=options(self._settings))
        self._register(server)
        address = f"{self._settings.host}:{self._settings.port}"
        pem, credentials = tls(self._settings.tls)
        self.certificate_ends = ends(pem)
        try:
            if credentials is None:
                self.port = server.add_insecure_port(address)
            else:
                self.port = server.add_secure_port(address, credentials)
        except RuntimeError:
            why = "is the port taken?" if credentials is None else "is the port taken, or the certificate no PEM?"
            raise GrpcError(f"gRPC cannot listen on {address}: {why}") from None
        await server.start()

    def retire(self, limit: float) -> None:
        """Take no new connections and tell clients to leave theirs; what runs may go on for `limit` seconds."""
        if self._server is not None:
            self._retiring = asyncio.create_task(self._server.stop(limit))

    async def stop(self) -> None:
        """End what is left: the calls that nobody reads."""
        if self._server is not None:
            await self._server.stop(None)

    def _register(self, server: grpc.aio.Server) -> None:
        served = services(self._settings, self._door)
        operations = {service.name: service.operation for service in served}
        methods = Methods(server, self._door, self._failures.naming(operations))
        for service in served:
            service.add(service.servicer, methods)
        health = HealthServicer(self._live, self._drain, {service.name: service.tasks for service in served})
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        if self._settings.reflection:
            own = (health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
            reflection.enable_server_reflection((*operations, *own), server)


def options(settings: GrpcSettings) -> list[tuple[str, int]]:
    """https://grpc.github.io/grpc/core/group__grpc__arg__keys.html"""
    return [
        ("grpc.max_receive_message_length", settings.max_message),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", settings.max_metadata),
        ("grpc.absolute_max_metadata_size", settings.max_metadata),
        ("grpc.max_concurrent_streams", settings.max_streams),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        ("grpc.keepalive_time_ms", _milliseconds(settings.keep_alive)),
        ("grpc.keepalive_timeout_ms", _milliseconds(settings.keep_alive_timeout)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _milliseconds(settings.least_ping_interval)),
        ("grpc.so_reuseport", 0),  # two gateways must not share a port by accident
    ]


def tls(settings: TlsSettings) -> tuple[bytes, grpc.ServerCredentials | None]:
    """The certificate and what gRPC makes of it. Raises GrpcError where a file can't be read."""
    if settings.certificate is None or settings.key is None:
        return b"", None
    authority = settings.client_authority
    try:
        pair = (settings.key.read_bytes(), settings.certificate.read_bytes())
        roots = None if authority is None else authority.read_bytes()
    except OSError as error:
        raise GrpcError(f"{error.filename}: {error.strerror}") from None
    return pair[1], grpc.ssl_server_credentials([pair], roots, require_client_auth=roots is not None)


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
