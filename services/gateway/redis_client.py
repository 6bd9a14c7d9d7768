"""A client of Redis that gives up in time and says so, instead of trying again."""

from collections.abc import Callable
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.gateway.settings import RedisSettings

CONNECT = 1.0
"""Seconds to open a connection: nobody waits for that but a probe."""
Client: TypeAlias = Any
Pipeline: TypeAlias = Any
"""redis-py's types are one for its blocking and its asynchronous client: every answer may be awaitable, or not."""


def connect(settings: RedisSettings, timeout: float) -> Client:
    """`timeout`: seconds for an answer."""
    assert settings.url is not None
    from_url: Callable[..., Client] = Redis.from_url
    return from_url(
        settings.url.get_secret_value(), socket_timeout=timeout, socket_connect_timeout=CONNECT,
        retry=Retry(NoBackoff(), 0), protocol=2, client_name="naru",
    )  # fmt: skip
