"""Who used what: each answer is added to a line of its key and version, and the lines go to a store now and then."""

import asyncio
import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Protocol

from services.common.logs import log
from services.gateway.metrics import Metrics
from services.gateway.policy.keyring import Principal
from services.gateway.policy.usage.row import Row, RowKey, merge
from services.gateway.policy.usage.spent import Spent
from services.gateway.routing.fleet import ModelPool

logger = logging.getLogger("naru.usage")
TOO_MANY = 10_000
"""Rows kept for a store that does not take them; then the oldest go."""


class UsageError(RuntimeError):
    """The store can't be read or written at the moment; the message says why."""


class Store(Protocol):
    """Where usage is kept, by day."""

    async def add(self, rows: Sequence[Row]) -> None:
        """Raises UsageError; then nothing was added."""

    async def read(self, first: date, last: date) -> list[Row]:
        """Of these days, both included. Raises UsageError."""

    async def close(self) -> None:
        """Nothing more will come."""


class Line:
    """What one key used of one version since the last time."""

    __slots__ = ("answers", "estimated", "input", "output", "requests")

    def __init__(self) -> None:
        self.requests = self.answers = self.input = self.output = self.estimated = 0


class Ledger:
    def __init__(self, store: Store, metrics: Metrics, interval: float = 1.0) -> None:
        """`interval`: seconds after which the store gets what is new."""
        self._store, self._metrics, self._interval = store, metrics, interval
        self._lines: dict[tuple[Principal, ModelPool, str], Line] = {}
        """By who asked and which model and version answered, at the price that it had then."""
        self._waiting: dict[RowKey, Row] = {}
        """What the store has not taken yet."""
        self._one_at_a_time = asyncio.Lock()
        self._failing = False

    def record(self, principal: Principal, pool: ModelPool, version: str, used: Spent, *, answered: bool) -> None:
        """One call that went to a version of a model; `answered`: its client got all of the answer."""
        key = (principal, pool, version)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line()
        line.requests += 1
        line.answers += answered
        given, made, estimated = used
        line.input += given
        line.output += made
        if estimated:
            line.estimated += given + made

    async def read(self, first: date, last: date) -> list[Row]:
        """What was used on these days, both included, up to now. Raises UsageError."""
        await self.flush()
        return await self._store.read(first, last)

    async def tokens_today(self) -> dict[str, int]:
        """Today's tokens by scope: `key:<name>`, `tenant:<name>`. Raises UsageError."""
        today = datetime.now(UTC).date()
        tokens: Counter[str] = Counter()
        for row in await self.read(today, today):
            used = row.input_tokens + row.output_tokens
            tokens[f"key:{row.key}"] += used
            tokens[f"tenant:{row.tenant}"] += used
        return tokens

    async def run(self) -> None:
        """For ever."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                # To its end even if this is cancelled: a store must not be left in the middle of a row.
                await asyncio.shield(self.flush())
            except UsageError as error:
                self._say(str(error))
            else:
                self._say(None)

    async def flush(self) -> None:
        """Give the store what is new. Raises UsageError; then it is given later."""
        async with self._one_at_a_time:
            self._collect()
            if not self._waiting:
                return
            rows, self._waiting = self._waiting, {}
            try:
                await self._store.add(list(rows.values()))
            except UsageError:
                self._put_back(rows)
                raise

    async def close(self) -> None:
        """Nothing more will come. Raises UsageError where the store does not take the last of it."""
        try:
            await self.flush()
        finally:
            await self._store.close()

    def _put_back(self, rows: dict[RowKey, Row]) -> None:
        newer, self._waiting = self._waiting, rows
        for row in newer.values():
            merge(self._waiting, row)
        for key in list(self._waiting)[:-TOO_MANY]:
            del self._waiting[key]

    def _collect(self) -> None:
        """Make rows of the lines, and count what they cost."""
        lines, self._lines = self._lines, {}
        today = datetime.now(UTC).date().isoformat()
        for (principal, pool, version), line in lines.items():
            labels = (pool.name, version, principal.tenant)
            if line.estimated:
                self._metrics.estimated_tokens.labels(*labels).inc(line.estimated)
            price, cost, currency = pool.entry.price_of(version), 0.0, ""
            if price is not None:
                cost, currency = price.of(line.input, line.output, line.answers), price.currency
                self._metrics.cost.labels(*labels, currency).inc(cost)
            merge(self._waiting, Row(
                today, principal.tenant, principal.key, pool.name, currency,
                line.requests, line.input, line.output, line.estimated, cost,
            ))  # fmt: skip

    def _say(self, fault: str | None) -> None:
        """Log each turn once."""
        if fault is not None and not self._failing:
            log(logger, logging.WARNING, "usage is kept in memory until its store takes it", reason=fault)
        elif fault is None and self._failing:
            log(logger, logging.INFO, "the store takes usage again")
        self._failing = fault is not None
