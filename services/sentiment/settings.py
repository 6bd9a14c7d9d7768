"""The sentiment service's settings: `NARU_SENTIMENT__<FIELD>`."""

from pydantic import Field, HttpUrl

from services.common.settings import Section, ServiceSettings


class SentimentSection(Section):
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8200, ge=0, le=65535)
    """Port to listen on."""
    traces: HttpUrl | None = None
    """The OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318: this service's spans join the
    gateway's traces. Without one it makes none."""
    model: str = Field(default="sentiment", min_length=1)
    """Model name in answers."""
    version: str = Field(default="v1", min_length=1)
    """Model version in answers."""
    max_texts: int = Field(default=256, ge=1)
    """Texts one request may hold."""
    max_characters: int = Field(default=10_000, ge=1)
    """Characters one text may have."""
    max_total_characters: int = Field(default=100_000, ge=1)
    """Characters all texts of a request may have: what bounds the time that one request can keep others waiting."""
    max_body: int = Field(default=4 * 1024 * 1024, ge=1024)
    """Bytes a request's body may have."""
    batch_texts: int = Field(default=64, ge=2)
    """Texts that are classified together at most; a request of more is split."""
    max_latency: float = Field(default=5.0, gt=0)
    """Seconds a request may wait for its batch; a longer wait is refused with 503."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds after which a request is given up with 504."""
    threads: int = Field(default=1, ge=1)
    """Threads of the linear algebra library."""


class Settings(ServiceSettings):
    sentiment: SentimentSection = SentimentSection()
