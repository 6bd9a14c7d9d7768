"""Active health checks: every endpoint is asked, again and again, whether it is ready."""

import asyncio
import logging
from collections.abc import Iterable

from services.common.errors import UpstreamError, UpstreamTimeout
from services.common.logs import log
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.exchange import Exchange, Headers
from services.gateway.upstream.limits import Limits
from services.gateway.upstream.request import encode

logger = logging.getLogger(__name__)

SLOW_CHECKS = 3
"""Checks in a row that may time out: a busy endpoint is late, not gone."""
RECOVERY_INTERVAL = 0.5
"""Seconds between two checks of an endpoint that is not healthy, so that its return is seen at once."""


class _Probe:
    """The sink of one check: resolves to None where the endpoint is ready, else to what is wrong."""

    def __init__(self) -> None:
        self.outcome: asyncio.Future[UpstreamError | None] = asyncio.get_running_loop().create_future()
        self._status = 0

    def on_head(self, status: int, headers: Headers) -> None:  # noqa: ARG002 - a sink's signature
        self._status = status

    def on_data(self, data: bytes) -> None:
        pass

    def on_end(self) -> None:
        self._settle(None if self._status == 200 else UpstreamError(f"health check answered {self._status}"))

    def on_fail(self, error: UpstreamError) -> None:
        self._settle(error)

    def _settle(self, outcome: UpstreamError | None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome)


class HealthChecker:
    """Sets `Endpoint.healthy` and logs each turn."""

    def __init__(self, endpoints: Iterable[Endpoint], interval: float, timeout: float) -> None:
        self.endpoints = tuple(endpoints)
        self._interval = interval
        self._limits = Limits(connect=timeout, first_byte=timeout, idle=timeout, total=timeout, keep_alive=0.001)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for endpoint in self.endpoints:
                group.create_task(self._watch(endpoint))

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
        probe = _Probe()
        request = encode("GET", endpoint.health_path, endpoint, [(b"connection", b"close")], b"")
        # A check is no request in flight: it has an endpoint of its own, and so never a kept-alive connection.
        stand_in = Endpoint(endpoint.model, endpoint.version, endpoint.url, 0, endpoint.health_path)
        exchange = Exchange(stand_in, request, probe, self._limits)
        exchange.start()
        try:
            return await probe.outcome
        finally:
            exchange.cancel()

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
