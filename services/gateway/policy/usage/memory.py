"""Usage that lasts as long as this process."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from services.gateway.policy.usage.row import Row, RowKey, merge


def utc_today() -> date:
    return datetime.now(UTC).date()


def oldest(days: int, today: date) -> str:
    """The first of the last `days` days, today included."""
    return (today - timedelta(days=days - 1)).isoformat()


class MemoryStore:
    def __init__(self, days: int, today: Callable[[], date] = utc_today) -> None:
        """`days`: how many are kept, today included."""
        self._days, self._today = days, today
        self._rows: dict[str, dict[RowKey, Row]] = {}
        """By day."""

    async def add(self, rows: Sequence[Row]) -> None:
        for row in rows:
            merge(self._rows.setdefault(row.day, {}), msgspec.structs.replace(row))
        kept = oldest(self._days, self._today())
        self._rows = {day: known for day, known in self._rows.items() if day >= kept}

    async def read(self, first: date, last: date) -> list[Row]:
        days = [day for day in sorted(self._rows) if first.isoformat() <= day <= last.isoformat()]
        return [msgspec.structs.replace(row) for day in days for row in self._rows[day].values()]

    async def close(self) -> None:
        pass
