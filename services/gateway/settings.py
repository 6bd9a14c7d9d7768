"""The gateway's settings, read once at start from `NARU_GATEWAY__*` variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, SecretStr, model_validator
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
    page: bool = True
    """Serve a page at `/` on which every model can be tried."""


class TlsSettings(Section):
    certificate: Path | None = None
    """PEM file of the server's certificate and what leads to its root; without it the port speaks plain text."""
    key: Path | None = None
    """PEM file of the certificate's private key."""
    client_authority: Path | None = None
    """PEM file of authorities: only clients with a certificate of theirs may connect (mutual TLS)."""

    @model_validator(mode="after")
    def _together(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together: set both or neither")
        if self.client_authority is not None and self.certificate is None:
            raise ValueError("client_authority needs a certificate and a key")
        return self


class GrpcSettings(Section):
    enabled: bool = True
    """Whether the gRPC port is served."""
    host: str = "127.0.0.1"
    """Address that gRPC clients reach."""
    port: int = Field(default=8081, ge=0, le=65535)
    """Port that gRPC clients reach; 0 lets the system choose."""
    max_message: int = Field(default=10 * 2**20, ge=1)
    """Bytes a request message may have; more is answered RESOURCE_EXHAUSTED."""
    max_metadata: int = Field(default=16 * 2**10, ge=1024)
    """Bytes a request's metadata may have; more is answered RESOURCE_EXHAUSTED."""
    max_streams: int = Field(default=1000, ge=1)
    """Calls at once on one connection; a client waits with further ones."""
    max_connections: int = Field(default=10_000, ge=1)
    """Client connections held at once; a further one is closed at once."""
    keep_alive: float = Field(default=75.0, gt=0)
    """Seconds after which a silent connection is asked whether its client still lives."""
    keep_alive_timeout: float = Field(default=20.0, gt=0)
    """Seconds a client may take to answer that before its connection is closed."""
    least_ping_interval: float = Field(default=10.0, gt=0)
    """Seconds a client must leave between its own pings; one that does not is disconnected."""
    write_timeout: float = Field(default=60.0, gt=0)
    """Seconds a client may leave a message of a stream unread before its call is given up."""
    reflection: bool = True
    """Whether clients may ask for the services' descriptions, as grpcurl does."""
    tls: TlsSettings = TlsSettings()


class AdminSettings(Section):
    host: str = "127.0.0.1"
    """Address of `/metrics`, `/livez` and `/readyz`; never expose it to clients."""
    port: int = Field(default=8082, ge=0, le=65535)
    api_key: SecretStr | None = Field(default=None, min_length=16)
    """Key of `/admin/keys` and `/admin/usage`; without it these routes are off."""


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
    retries: int = Field(default=2, ge=0, le=5)
    """Further endpoints of a model that are tried while nothing of an answer has reached the client."""
    api_key: SecretStr | None = None
    """Bearer key sent to every endpoint, where the engines ask for one."""


class RoutingSettings(Section):
    scrape_interval: float = Field(default=1.0, gt=0)
    """Seconds between two reads of an engine's `/metrics`, where a version has more than one endpoint."""
    scrape_stale: float = Field(default=5.0, gt=0)
    """Seconds after which what an engine said of its load counts no more."""
    mirrored: int = Field(default=64, ge=1)
    """Copies for shadow versions that run at once; a further one is not sent."""


class ResilienceSettings(Section):
    retry_share: float = Field(default=0.2, ge=0, le=1)
    """Retries and hedges allowed, as a share of a model's requests of the last 10 s."""
    retry_floor: float = Field(default=10.0, ge=0)
    """Retries and hedges allowed in 10 s however few requests there are."""
    eject_failures: int = Field(default=5, ge=1)
    """Failures in a row after which an endpoint gets no requests for a while."""
    eject_ratio: float = Field(default=0.5, gt=0, le=1)
    """Or this share of at least 20 answers within 10 s."""
    eject_time: float = Field(default=2.0, gt=0)
    """Seconds of an endpoint's first ejection; each further one lasts twice as long."""
    eject_longest: float = Field(default=60.0, gt=0)
    """Seconds no ejection outlasts."""
    eject_share: float = Field(default=0.5, ge=0, le=1)
    """Share of a version's endpoints that may be ejected at once; 0 ejects none."""
    comment_interval: float = Field(default=15.0, ge=0)
    """Seconds of waiting for a stream's first event between two `: keep-alive` comments to the client; 0 is off."""
    migrations: int = Field(default=2, ge=0, le=5)
    """Times one chat stream whose engine dies is continued on another endpoint; 0 is off."""
    migration_text: int = Field(default=256 * 2**10, ge=0)
    """Bytes of an answer's text, and one for each event, kept so that it can be continued; a longer one can't be."""


class KeySettings(Section):
    file: Path | None = None
    """YAML file of API keys, each stored as the hex SHA-256 of the key."""


class RedisSettings(Section):
    url: SecretStr | None = None
    """`redis://…`, `rediss://…` or `unix://…`: all gateways on it share limits and usage; without, each has its own."""
    prefix: str = Field(default="naru", pattern=r"^[\w:.-]+$", max_length=64)
    """What every key in Redis begins with."""
    timeout: float = Field(default=0.05, gt=0)
    """Seconds a request may wait for Redis."""


class LimitSettings(Section):
    redis_away: Literal["open", "closed"] = "open"
    """Without Redis' word a request of a limited key is let in (open) or answered 503 (closed)."""
    lease: float = Field(default=30.0, ge=3)
    """Seconds after which the streams of a gateway that died count no more."""


class UsageSettings(Section):
    folder: Path | None = None
    """Folder in which usage is kept, one file a day; without it and without Redis it lasts as long as the process."""
    days: int = Field(default=90, ge=1)
    """Days that usage is kept, today included."""
    interval: float = Field(default=2.0, gt=0)
    """Seconds between two times that new usage is written down."""


class CacheSettings(Section):
    store: Literal["memory", "redis"] = "memory"
    """Where answers of models that have a cache are kept: in each gateway, or in Redis (`redis.url`) for all."""


_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod finds its service account."""


class KubernetesSettings(Section):
    server: str | None = Field(default=None, pattern=r"^https?://[^/]+(/.*)?$")
    """URL of the API server; without it and without a kubeconfig, that of the cluster the gateway runs in."""
    kubeconfig: Path | None = None
    """Or a kubeconfig file, which says where it is and who the gateway is."""
    context: str | None = None
    """The kubeconfig's context; without it, its current one."""
    namespace: str | None = Field(default=None, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")
    """Namespace of Services for which the registry names none; without it, the pod's own."""
    zone: str | None = None
    """The gateway's own topology zone: endpoints that are meant for it are preferred."""
    token_file: Path = _ACCOUNT / "token"
    """Token of the service account; read anew for each watch, since it rotates."""
    ca_file: Path = _ACCOUNT / "ca.crt"
    """Certificate authority of the API server; read anew for each watch."""
    watch: float = Field(default=120.0, ge=1)
    """Seconds a watch lasts before it is renewed; a connection that died unnoticed is found out by then."""
    longest_retry: float = Field(default=30.0, gt=0)
    """Seconds no pause between two tries exceeds while the API server is away."""

    @model_validator(mode="after")
    def _one_server(self) -> Self:
        if self.kubeconfig is not None and self.server is not None:
            raise ValueError("give server or kubeconfig, not both")
        if self.context is not None and self.kubeconfig is None:
            raise ValueError("a context is a kubeconfig's")
        return self


class TracingSettings(Section):
    endpoint: HttpUrl | None = None
    """The OpenTelemetry collector that takes OTLP over HTTP, such as http://collector:4318; without one tracing is off.
    Its headers, certificates and compression are the standard's variables: `OTEL_EXPORTER_OTLP_HEADERS` and others."""
    sample: float = Field(default=0.01, ge=0, le=1)
    """Share of the requests that are recorded; one that comes with a trace context is as that says."""
    content: bool = False
    """Whether spans hold prompts and answers too (16,000 characters of each); else they hold none."""


class DrainSettings(Section):
    timeout: float = Field(default=30.0, ge=0)
    """Seconds running requests may go on after SIGTERM."""
    retry_after: int = Field(default=2, ge=1)
    """Seconds a refused client is told to wait."""
    linger: float = Field(default=0.5, ge=0)
    """Seconds new requests are still answered, with 503, after the last running one ended."""


class GatewaySection(Section):
    registry: Path
    """The model registry: a YAML file, read again as it changes."""
    registry_poll: float = Field(default=1.0, gt=0)
    """Seconds between two looks at it; a change is taken over once two looks in a row find the same file."""
    http: HttpSettings = HttpSettings()
    grpc: GrpcSettings = GrpcSettings()
    admin: AdminSettings = AdminSettings()
    upstream: UpstreamSettings = UpstreamSettings()
    routing: RoutingSettings = RoutingSettings()
    resilience: ResilienceSettings = ResilienceSettings()
    keys: KeySettings = KeySettings()
    redis: RedisSettings = RedisSettings()
    limits: LimitSettings = LimitSettings()
    usage: UsageSettings = UsageSettings()
    cache: CacheSettings = CacheSettings()
    kubernetes: KubernetesSettings = KubernetesSettings()
    drain: DrainSettings = DrainSettings()
    tracing: TracingSettings = TracingSettings()
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    """Least level that is logged."""

    @model_validator(mode="after")
    def _redis_is_somewhere(self) -> Self:
        if self.cache.store == "redis" and self.redis.url is None:
            raise ValueError("cache.store redis needs redis.url")
        return self


class Settings(ServiceSettings):
    gateway: GatewaySection


class DevelopmentKey(BaseSettings):
    """`NARU_API_KEY`: one key for a laptop, for the tenant `development`, beside whatever the key file holds."""

    model_config = SettingsConfigDict(env_prefix="NARU_", frozen=True, extra="ignore")

    api_key: SecretStr | None = None
