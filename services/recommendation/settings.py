"""Settings of the recommendation service, read from `NARU_RECOMMENDATION__*`."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, HttpUrl, model_validator

from services.common.settings import Section, ServiceSettings


class DataSection(Section):
    """Where the interactions come from."""

    source: str = "movielens-100k"
    """`movielens-100k`, or the path of a `.csv`, `.tsv` or `.parquet` file with one interaction per row."""
    user_column: str = "user_id"
    """Column that names the user."""
    item_column: str = "item_id"
    """Column that names the item."""
    time_column: str = "timestamp"
    """Column of the time: a number (any unit) or an ISO 8601 date."""
    rating_column: str | None = None
    """Column of the rating; only read when `min_rating` is set."""
    min_rating: float | None = None
    """Rows rated below this are left out; unset means that every row counts."""
    titles: Path | None = None
    """A table with the columns `item_column` and `title_column`; unset means answers without titles."""
    title_column: str = "title"
    """Column of the title in `titles`."""
    ties: Literal["item", "file"] = "item"
    """What orders a user's interactions of the same time: the item's id, or the row's place in the file."""

    @model_validator(mode="after")
    def _rating_needs_a_column(self) -> Self:
        if self.min_rating is not None and self.rating_column is None:
            raise ValueError("min_rating is set but rating_column is not: name the column that holds the rating")
        return self


class TrainingSection(Section):
    """What the closed-form fit uses. The defaults were chosen on MovieLens-100k's validation items (`train --tune`)."""

    long_decay: float = Field(default=0.95, gt=0, le=1)
    """Weight of an item relative to the next newer one, in the long memory (what goes together)."""
    long_memory: int = Field(default=200, ge=1)
    """Newest items of a history that the long memory reads."""
    short_decay: float = Field(default=0.8, gt=0, lt=1)
    """The same for the short memory (what comes next)."""
    short_memory: int = Field(default=25, ge=1)
    """Newest items that the short memory reads; also the longest distance learned from."""
    future_decay: float = Field(default=0.5, ge=0, lt=1)
    """Weight of an item that comes one step later than the next one, as a target of the short memory."""
    together_ridge: float = Field(default=5.0, gt=0)
    """Ridge penalty of the long memory, as a multiple of the mean number of interactions per item."""
    next_ridge: float = Field(default=0.5, gt=0)
    """Ridge penalty of the short memory, as a multiple of the mean squared input."""
    next_weight: float = Field(default=1.0, ge=0)
    """Share of the short memory in a score, against 1 for the long memory."""
    max_items: int = Field(default=10_000, ge=2)
    """Catalogue limit; beyond it only the most popular stay. Memory is 8 and training 32 bytes per item squared."""


class RecommendationSection(Section):
    """The service."""

    host: str = "127.0.0.1"
    """Address to listen on (an IP address)."""
    port: int = Field(default=8300, ge=1, le=65535)
    """Port to listen on."""
    traces: HttpUrl | None = None
    """The OpenTelemetry collector (OTLP over HTTP), such as http://collector:4318: this service's spans join the
    gateway's traces. Without one it makes none."""
    model: str = "recommendation"
    """The model's name in answers."""
    version: str = "v1"
    """The model's version in answers and in the name of its folder."""
    model_path: Path | None = None
    """Folder of a trained model; unset means the one that `prepare` makes in the cache from these settings."""
    max_k: int = Field(default=100, ge=1)
    """Largest `k` of a request."""
    max_history: int = Field(default=500, ge=1)
    """Most items in a request's `history`."""
    max_body_bytes: int = Field(default=262_144, ge=1024)
    """Largest request body."""
    max_batch_size: int = Field(default=64, ge=2)
    """Most requests scored in one batch."""
    max_latency_ms: int = Field(default=1000, ge=1)
    """A request that would wait longer for its batch is answered with 503."""
    timeout_s: float = Field(default=10, gt=0)
    """A request that takes longer is answered with 504."""
    threads: int = Field(default=1, ge=1)
    """Threads of the numeric library, unless OMP_NUM_THREADS or OPENBLAS_NUM_THREADS is set already."""
    access_log: bool = False
    """Log one line per request (address, route, status; never a body)."""
    data: DataSection = DataSection()
    training: TrainingSection = TrainingSection()


class Settings(ServiceSettings):
    """`NARU_RECOMMENDATION__PORT=8300`, `NARU_RECOMMENDATION__DATA__SOURCE=clicks.csv`, and so on."""

    recommendation: RecommendationSection = RecommendationSection()
