"""Where the fleet comes from: the registry file says which models there are, discovery where they answer."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from pathlib import Path

from services.common.logs import log
from services.gateway.filestamp import stamp
from services.gateway.registry import load
from services.gateway.routing.builder import FleetBuilder
from services.gateway.routing.fleet import LiveFleet, ModelPool
from services.gateway.upstream.discovery.base import Discovery
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.health import HealthChecker

logger = logging.getLogger("naru.discovery")

WAIT = 2.0
"""Seconds that a registry which names a new namespace waits for what is in it."""

Moves = Mapping[ModelPool, tuple[Endpoint, ...]]


class FleetSource:
    def __init__(self, path: Path, builder: FleetBuilder, health: HealthChecker, discovery: Discovery) -> None:
        """Raises RegistryError."""
        self.path = path
        self.stamp = stamp(path)
        self._builder, self._health, self._discovery = builder, health, discovery
        registry = load(path)
        discovery.follow(registry)
        self.live = LiveFleet(builder.build(registry))
        self.complete = discovery.complete
        """Whether the fleet has all that there was to discover when the gateway started."""
        self._turn = asyncio.Lock()

    async def reread(self) -> dict[str, object]:
        """Take the file over; what there is to say of it. Raises RegistryError: then nothing has changed."""
        # In a thread: a registry of hundreds of models takes a while to read.
        registry = await asyncio.to_thread(load, self.path)
        self._discovery.follow(registry)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WAIT):
                await self._discovery.settled()
        async with self._turn:
            fleet = self._builder.build(registry, self.live.fleet)
            new = set(fleet.endpoints()) - set(self.live.fleet.endpoints())
            # Before they take the place of others, so that no request finds a model without a healthy endpoint.
            await self._health.look(new)
            self.live.use(fleet)
        unhealthy = sorted(endpoint.authority for endpoint in new if not endpoint.healthy)
        return {"models": len(fleet.models), "endpoints_added": len(new), "unhealthy": unhealthy}

    async def run(self) -> None:
        """For ever: take over what discovery says."""
        moved = self._discovery.moved
        while True:
            await moved.wait()
            moved.clear()
            async with self._turn:
                await self._move()

    async def _move(self) -> None:
        complete = self._discovery.complete
        moves = self._builder.moves(self.live.fleet)
        if not self.complete or any(_bereft(pool, endpoints) for pool, endpoints in moves.items()):
            await self._health.look(e for pool, now in moves.items() for e in now if e not in pool.endpoints)
        _tell(moves)
        self.live.move(moves)
        for pool, endpoints in self._builder.earlier(self.live.fleet):
            if endpoints != pool.endpoints:
                pool.picker.use(endpoints)
        self.complete = self.complete or complete


def _bereft(pool: ModelPool, endpoints: tuple[Endpoint, ...]) -> bool:
    """Whether a model that can answer could not until its new endpoints are known to be healthy."""
    return pool.ready and not any(endpoint.healthy for endpoint in endpoints)


def _tell(moves: Moves) -> None:
    for pool, endpoints in moves.items():
        before, now = (sorted(e.authority for e in some) for some in (pool.endpoints, endpoints))
        log(
            logger, logging.INFO, "endpoints changed", model=pool.name, endpoints=len(now),
            added=[each for each in now if each not in before], removed=[each for each in before if each not in now],
        )  # fmt: skip
