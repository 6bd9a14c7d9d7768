"""Where limits are counted and usage is kept: in Redis where there is one, else here."""

import asyncio
import logging
from dataclasses import dataclass

from services.common.logs import log
from services.gateway.metrics import Metrics
from services.gateway.policy.quota import Quotas
from services.gateway.policy.usage.folder import FolderStore
from services.gateway.policy.usage.ledger import Ledger, Store, UsageError
from services.gateway.policy.usage.memory import MemoryStore
from services.gateway.policy.windows.limiter import Limiter
from services.gateway.policy.windows.memory import MemoryLimiter
from services.gateway.settings import GatewaySection

logger = logging.getLogger("naru.usage")


@dataclass(frozen=True, slots=True)
class Accounts:
    quotas: Quotas
    ledger: Ledger

    async def run(self) -> None:
        """Count, and write down, for ever."""
        await self._restore()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.quotas.limiter.run())
            group.create_task(self.ledger.run())

    async def _restore(self) -> None:
        """A budget of the day outlives the process where its usage does."""
        try:
            self.quotas.limiter.restore(await self.ledger.tokens_today())
        except UsageError as error:
            log(logger, logging.WARNING, "today's tokens are counted anew", reason=str(error))

    async def close(self) -> None:
        """Write down what is new. What its store does not take now is lost, and logged."""
        await self.quotas.limiter.close()
        try:
            await self.ledger.close()
        except UsageError as error:
            log(logger, logging.ERROR, "the last usage could not be written down", reason=str(error))


def accounts(settings: GatewaySection, metrics: Metrics) -> Accounts:
    ledger = Ledger(_store(settings), metrics, settings.usage.interval)
    return Accounts(Quotas(_limiter(settings, metrics), ledger, metrics.quota_refusals), ledger)


def _limiter(settings: GatewaySection, metrics: Metrics) -> Limiter:
    if settings.redis.url is None:
        return MemoryLimiter()
    from services.gateway.policy.windows.redis import RedisLimiter  # noqa: PLC0415 - Redis' client takes 8 MiB

    return RedisLimiter(settings.redis, settings.limits, metrics.limits_backend_up.labels())


def _store(settings: GatewaySection) -> Store:
    usage = settings.usage
    if settings.redis.url is None:
        return MemoryStore(usage.days) if usage.folder is None else FolderStore(usage.folder, usage.days)
    from services.gateway.policy.usage.redis import RedisStore  # noqa: PLC0415 - Redis' client takes 8 MiB

    return RedisStore(settings.redis, usage.days)
