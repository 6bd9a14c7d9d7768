"""The gateway's settings, read once at start from `NARU_GATEWAY__*` variables."""

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.common.settings import Section, ServiceSettings


class HttpSettings(Section):
    host: str = "127.0.0.1"
    """Address that clients reach."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port that clients reach; 0 lets the system choose."""
    max_body: int = Field(default=10 * 2**20, ge=1)
    """Bytes a request body may have; more is answered 413."""
    max_headers: int = Field(default=64 * 2**10, ge=1024)
    """Bytes a request's line and headers may have; more is answered 431."""
    header_timeout: float = Field(default=10.0, gt=0)
    """Seconds from a request's first byte to the end of its headers; later is answered 408."""
    body_timeout: float = Field(default=30.0, gt=0)
    """Seconds a request body may take to arrive; later is answered 408."""
    keep_alive: float = Field(default=75.0, gt=0)
    """Seconds an idle client connection is kept."""
    write_timeout: float = Field(default=60.0, gt=0)
    """Seconds a client may leave an answer unread before its connection is closed."""
    max_connections: int = Field(default=10_000, ge=1)
    """Client connections held at once; a further one is closed at once."""
    direct: bool = True
    """Carry model calls straight over the HTTP protocol; off, they go through ASGI like every other request."""


class AdminSettings(Section):
    host: str = "127.0.0.1"
    """Address of `/metrics`, `/livez` and `/readyz`; never expose it to clients."""
    port: int = Field(default=8082, ge=0, le=65535)


class UpstreamSettings(Section):
    connect_timeout: float = Field(default=2.0, gt=0)
    """Seconds to open a connection to an endpoint."""
    first_byte_timeout: float = Field(default=120.0, gt=0)
    """Seconds from sending the request to the first content of a streamed answer."""
    idle_timeout: float = Field(default=60.0, gt=0)
    """Seconds of silence allowed inside a streamed answer."""
    total_timeout: float = Field(default=600.0, gt=0)
    """Seconds a whole exchange may take, streamed or not."""
    keep_alive: float = Field(default=4.0, gt=0)
    """Seconds an idle upstream connection is kept; uvicorn, under vLLM and BentoML, closes it after 5."""
    max_answer: int = Field(default=64 * 2**20, ge=1)
    """Bytes an unstreamed answer may have; more is answered 502."""
    max_event: int = Field(default=4 * 2**20, ge=1024)
    """Bytes one server-sent event may have; a longer one ends the stream as broken."""
    health_interval: float = Field(default=2.0, gt=0)
    """Seconds between two health checks of one endpoint."""
    health_timeout: float = Field(default=2.0, gt=0)
    """Seconds a health check may take."""
    retries: int = Field(default=1, ge=0, le=5)
    """Further endpoints tried when no byte of an answer has come."""
    api_key: SecretStr | None = None
    """Bearer key sent to every endpoint, where the engines ask for one."""


class KeySettings(Section):
    file: Path | None = None
    """YAML file of API keys, each stored as the hex SHA-256 of the key."""


class DrainSettings(Section):
    timeout: float = Field(default=30.0, ge=0)
    """Seconds running requests may go on after SIGTERM."""
    retry_after: int = Field(default=2, ge=1)
    """Seconds a refused client is told to wait."""
    linger: float = Field(default=0.5, ge=0)
    """Seconds new requests are still answered, with 503, after the last running one ended."""


class GatewaySection(Section):
    registry: Path
    """The model registry: a YAML file."""
    http: HttpSettings = HttpSettings()
    admin: AdminSettings = AdminSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    keys: KeySettings = KeySettings()
    drain: DrainSettings = DrainSettings()
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """Least level that is logged."""


class Settings(ServiceSettings):
    gateway: GatewaySection


class DevelopmentKey(BaseSettings):
    """`NARU_API_KEY`: one key for a laptop, for the tenant `development`, beside whatever the key file holds."""

    model_config = SettingsConfigDict(env_prefix="NARU_", frozen=True, extra="ignore")

    api_key: SecretStr | None = None
