"""Active health checks: every endpoint is asked, again and again, whether it is ready."""

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import perf_counter

from services.common.errors import ConnectTimeout, UpstreamError, UpstreamTimeout
from services.common.logs import log
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.fetch import fetch, within
from services.gateway.upstream.limits import Limits
from services.gateway.upstream.rounds import Rounds

logger = logging.getLogger(__name__)

SLOW_CHECKS = 3
"""Checks in a row that may time out: a busy endpoint is late, not gone."""
RECOVERY_INTERVAL = 0.25
"""Seconds between two checks of an endpoint that is not healthy, so that its return is seen at once."""


class HealthChecker:
    """Sets `Endpoint.healthy` and logs each turn."""

    def __init__(self, interval: float, timeout: float) -> None:
        self.rounds = Rounds(self._watch)
        self._interval = interval
        self._tell: Callable[[Endpoint], None] = lambda _: None
        self._limits = within(timeout)

    def follow(self, tell: Callable[[Endpoint], None]) -> None:
        """From now on `tell` is called with each endpoint that becomes healthy, or no longer is."""
        self._tell = tell

    async def look(self, endpoints: Iterable[Endpoint]) -> None:
        """Check each of these once, all at the same time."""
        await asyncio.gather(*map(self._look, endpoints))

    async def _look(self, endpoint: Endpoint) -> None:
        self._turn(endpoint, await _fault(endpoint, self._limits))

    async def _watch(self, endpoint: Endpoint) -> None:
        watch = _Watch(endpoint, self._limits, self._turn)
        async with asyncio.TaskGroup() as group:
            while True:
                watch.ask(group)
                await self._rest(endpoint)

    async def _rest(self, endpoint: Endpoint) -> None:
        """Until the next check: soon where the endpoint is not healthy, also if a request found that out meanwhile."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self._interval
        while (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, RECOVERY_INTERVAL))
            if not endpoint.healthy:
                return

    def _turn(self, endpoint: Endpoint, fault: UpstreamError | None) -> None:
        healthy = fault is None
        if endpoint.healthy is healthy:
            return
        endpoint.healthy = healthy
        if healthy:
            endpoint.circuit.close()  # what was held against it was before it went away
        level = logging.INFO if healthy else logging.WARNING
        log(
            logger, level, "endpoint is healthy" if healthy else "endpoint is not healthy",
            model=endpoint.model, version=endpoint.version, endpoint=endpoint.authority,
            reason=fault.message if fault else None,
        )  # fmt: skip
        self._tell(endpoint)


class _Watch:
    """The checks of one endpoint. While it is not healthy they do not wait for one another: one that hangs, because
    the host dropped its packets, would hide for its whole timeout that the host is back."""

    def __init__(
        self, endpoint: Endpoint, limits: Limits, turn: Callable[[Endpoint, UpstreamError | None], None]
    ) -> None:
        """`turn` is told what each check found."""
        self._endpoint, self._limits, self._turn = endpoint, limits, turn
        self._running: list[asyncio.Task[None]] = []
        """In the order in which they began."""
        self._slow = 0

    def ask(self, group: asyncio.TaskGroup) -> None:
        if self._endpoint.healthy and self._running:
            return
        self._running.append(group.create_task(self._check()))

    async def _check(self) -> None:
        this = asyncio.current_task()
        assert this is not None
        began = perf_counter()
        fault = await _fault(self._endpoint, self._limits)
        place = self._running.index(this)
        overtaken, self._running = self._running[:place], self._running[place + 1 :]
        if fault is None:
            overtaken, self._running = overtaken + self._running, []
        for older in overtaken:
            older.cancel()
        if isinstance(fault, UpstreamTimeout | ConnectTimeout) and self._endpoint.spoke_since(began):
            return  # what answers requests is there, however busy it is
        self._slow = self._slow + 1 if isinstance(fault, UpstreamTimeout) else 0
        if self._slow in (0, SLOW_CHECKS):
            self._turn(self._endpoint, fault)


async def _fault(endpoint: Endpoint, limits: Limits) -> UpstreamError | None:
    """What is wrong with the endpoint, if anything."""
    try:
        status, _ = await fetch(endpoint, endpoint.health_path, limits)
    except UpstreamError as error:
        return error
    return None if status == 200 else UpstreamError(f"health check answered {status}")
