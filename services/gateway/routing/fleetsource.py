"""Where the fleet comes from: the registry file."""

import asyncio
from pathlib import Path

from services.gateway.filestamp import stamp
from services.gateway.registry import load
from services.gateway.routing.builder import FleetBuilder
from services.gateway.routing.fleet import LiveFleet
from services.gateway.upstream.health import HealthChecker


class FleetSource:
    def __init__(self, path: Path, builder: FleetBuilder, health: HealthChecker) -> None:
        """Raises RegistryError."""
        self.path = path
        self.stamp = stamp(path)
        self._builder, self._health = builder, health
        self.live = LiveFleet(builder.build(load(path)))

    async def reread(self) -> dict[str, object]:
        """Take the file over; what there is to say of it. Raises RegistryError: then nothing has changed."""
        # In a thread: a registry of hundreds of models takes a while to read.
        registry = await asyncio.to_thread(load, self.path)
        fleet = self._builder.build(registry, self.live.fleet)
        new = set(fleet.endpoints()) - set(self.live.fleet.endpoints())
        # Before they take the place of others, so that no request finds a model without a healthy endpoint.
        await self._health.look(new)
        self.live.use(fleet)
        unhealthy = sorted(endpoint.authority for endpoint in new if not endpoint.healthy)
        return {"models": len(fleet.models), "endpoints_added": len(new), "unhealthy": unhealthy}
