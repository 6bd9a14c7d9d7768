"""The gRPC port as the composition root sees it, and none: gRPC is loaded only where it is served."""

from typing import Protocol


class GrpcError(RuntimeError):
    """The gRPC port cannot be served; the message says why."""


class GrpcEdge(Protocol):
    @property
    def port(self) -> int | None:
        """The port in use, once started; None where there is none."""

    @property
    def certificate_ends(self) -> float | None:
        """Unix time at which the certificate in use ends, once started with one."""

    async def start(self) -> None:
        """Raises GrpcError."""

    def retire(self, limit: float) -> None:
        """Take no new connections and tell clients to leave theirs; what runs may go on for `limit` seconds."""

    async def stop(self) -> None:
        """End what is left."""


class NoGrpc:
    """It is off."""

    port: int | None = None
    certificate_ends: float | None = None

    async def start(self) -> None:
        pass

    def retire(self, limit: float) -> None:
        pass

    async def stop(self) -> None:
        pass
