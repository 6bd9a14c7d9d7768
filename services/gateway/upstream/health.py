"""Active health checks: every endpoint is asked, again and again, whether it is ready."""

import asyncio
import logging
from collections.abc import Iterable

from services.common.errors import UpstreamError, UpstreamTimeout
from services.common.logs import log
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.fetch import fetch, within
from services.gateway.upstream.rounds import Rounds

logger = logging.getLogger(__name__)

SLOW_CHECKS = 3
"""Checks in a row that may time out: a busy endpoint is late, not gone."""
RECOVERY_INTERVAL = 0.5
"""Seconds between two checks of an endpoint that is not healthy, so that its return is seen at once."""


class HealthChecker:
    """Sets `Endpoint.healthy` and logs each turn."""

    def __init__(self, interval: float, timeout: float) -> None:
        self.rounds = Rounds(self._watch)
        self._interval = interval
        self._limits = within(timeout)

    async def look(self, endpoints: Iterable[Endpoint]) -> None:
        """Check each of these once, all at the same time."""
        await asyncio.gather(*map(self._look, endpoints))

    async def _look(self, endpoint: Endpoint) -> None:
        fault = await self._check(endpoint)
        self._turn(endpoint, healthy=fault is None, why=fault.message if fault else None)

    async def _watch(self, endpoint: Endpoint) -> None:
        slow = 0
        while True:
            fault = await self._check(endpoint)
            slow = slow + 1 if isinstance(fault, UpstreamTimeout) else 0
            if slow in (0, SLOW_CHECKS):
                self._turn(endpoint, healthy=fault is None, why=fault.message if fault else None)
            await self._rest(endpoint)

    async def _rest(self, endpoint: Endpoint) -> None:
        """Until the next check: soon where the endpoint is not healthy, also if a request found that out meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._interval
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, RECOVERY_INTERVAL))
            if not endpoint.healthy:
                return

    async def _check(self, endpoint: Endpoint) -> UpstreamError | None:
        """What is wrong with the endpoint, if anything."""
        try:
            status, _ = await fetch(endpoint, endpoint.health_path, self._limits)
        except UpstreamError as error:
            return error
        return None if status == 200 else UpstreamError(f"health check answered {status}")

    def _turn(self, endpoint: Endpoint, *, healthy: bool, why: str | None) -> None:
        if endpoint.healthy is healthy:
            return
        endpoint.healthy = healthy
        if healthy:
            endpoint.circuit.close()  # what was held against it was before it went away
        level = logging.INFO if healthy else logging.WARNING
        log(
            logger, level, "endpoint is healthy" if healthy else "endpoint is not healthy",
            model=endpoint.model, version=endpoint.version, endpoint=endpoint.authority, reason=why,
        )  # fmt: skip
