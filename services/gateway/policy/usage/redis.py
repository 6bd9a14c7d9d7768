"""Usage in Redis: a hash a day, added to by all the gateways on it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
from redis.exceptions import RedisError

from services.gateway.policy.usage.ledger import UsageError
from services.gateway.policy.usage.row import Row, RowKey
from services.gateway.redis_client import connect
from services.gateway.settings import RedisSettings

TIMEOUT = 2.0
"""Seconds: no request waits for it."""
AMOUNTS = ("requests", "input_tokens", "output_tokens", "estimated_tokens", "cost")
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(tuple[str, str, str, str, str]).decode


class RedisStore:
    def __init__(self, settings: RedisSettings, days: int) -> None:
        """`days`: how many are kept, today included."""
        self._redis = connect(settings, TIMEOUT)
        self._prefix, self._days = settings.prefix, days

    async def add(self, rows: Sequence[Row]) -> None:
        """All of it or nothing, unless Redis' answer is lost."""
        pipe = self._redis.pipeline(transaction=True)
        for row in rows:
            key = self._key(row.day)
            for amount in AMOUNTS:
                if value := getattr(row, amount):
                    field = _encode((row.tenant, row.key, row.model, row.currency, amount))
                    pipe.hincrbyfloat(key, field.decode(), value)
            pipe.expireat(key, _end(row.day, self._days))
        try:
            await pipe.execute()
        except (RedisError, OSError) as error:
            raise UsageError(f"Redis: {error}") from None

    async def read(self, first: date, last: date) -> list[Row]:
        days = [(first + timedelta(days=i)).isoformat() for i in range((last - first).days + 1)]
        pipe = self._redis.pipeline(transaction=False)
        for day in days:
            pipe.hgetall(self._key(day))
        try:
            found = await pipe.execute()
        except (RedisError, OSError) as error:
            raise UsageError(f"Redis: {error}") from None
        return [row for day, fields in zip(days, found, strict=True) for row in _rows(day, fields)]

    async def close(self) -> None:
        await self._redis.aclose()

    def _key(self, day: str) -> str:
        return f"{self._prefix}:usage:{day}"


def _rows(day: str, fields: dict[bytes, bytes]) -> list[Row]:
    rows: dict[RowKey, Row] = {}
    for field, value in fields.items():
        tenant, key, model, currency, amount = _decode(field)
        row = rows.setdefault((day, tenant, key, model, currency), Row(day, tenant, key, model, currency))
        setattr(row, amount, float(value) if amount == "cost" else round(float(value)))
    return list(rows.values())


def _end(day: str, days: int) -> datetime:
    """When a day's usage is kept no longer."""
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC) + timedelta(days=days)
