"""One endpoint: an address that answers for one version of one model, and what is known of it now."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from services.gateway.upstream.circuit import Circuit
from services.gateway.upstream.vitals import Vitals

if TYPE_CHECKING:
    from services.gateway.upstream.connection import Connection


@dataclass(slots=True, eq=False)
class Endpoint:
    model: str
    version: str
    url: str
    health_path: str
    healthy: bool = False
    retired: bool = False
    """The registry names it no more: what runs there ends there, and further attempts go elsewhere if they can."""
    in_flight: int = 0
    circuit: Circuit = field(default_factory=Circuit)
    busy_until: float = 0.0
    """`time.monotonic()` until which it wants no further request, by its own word (429)."""
    vitals: Vitals | None = None
    """What its engine said of itself; None where it says nothing, or has not for too long."""
    idle: "list[Connection]" = field(default_factory=list)
    """Kept-alive connections, the one used last at the end."""
    connections: "set[Connection]" = field(default_factory=set)
    """All that are open and have been used."""
    host: str = field(init=False)
    port: int = field(init=False)
    authority: str = field(init=False)
    """`host:port`, as the Host header, logs and labels say it."""
    names: list[tuple[bytes, bytes]] = field(init=False)
    """The headers that tell a client who answered."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        host = f"[{self.host}]" if ":" in self.host else self.host
        self.authority = f"{host}:{self.port}"
        self.names = [
            (b"x-naru-model", self.model.encode()), (b"x-naru-version", self.version.encode()),
            (b"x-naru-endpoint", self.authority.encode()),
        ]  # fmt: skip

    @property
    def available(self) -> bool:
        """Whether a request may go there: its health check passes, and its answers have not ejected it."""
        return self.healthy and not self.retired and (self.circuit.closed or self.circuit.admits())

    def spoke_since(self, moment: float) -> bool:
        """Whether some of an answer has come from it since (`time.perf_counter()`)."""
        return any(connection.heard_since(moment) for connection in self.connections)

    def retire(self) -> None:
        """Take no new request, and close what is open and idle; a connection in use closes soon after its last."""
        self.retired = True
        for connection in self.idle:
            connection.transport.close()
