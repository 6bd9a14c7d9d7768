"""What engines say of themselves: their `/metrics`, read again and again, beside the requests and never before one."""

import asyncio

from services.common.errors import UpstreamError
from services.gateway.upstream.endpoint import Endpoint
from services.gateway.upstream.fetch import fetch, within
from services.gateway.upstream.rounds import Rounds
from services.gateway.upstream.vitals import Vitals, read_vitals


class Scraper:
    """Sets `Endpoint.vitals`, and takes them back when they are older than `stale` seconds."""

    def __init__(self, interval: float, stale: float) -> None:
        self.rounds = Rounds(self._watch)
        self._interval, self._stale, self._limits = interval, stale, within(stale)

    async def _watch(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        expiry: asyncio.TimerHandle | None = None
        while True:
            vitals = await self._scrape(endpoint) if endpoint.healthy else None
            if vitals is not None:
                if expiry is not None:
                    expiry.cancel()
                endpoint.vitals = vitals
                expiry = loop.call_later(self._stale, _forget, endpoint)
            await asyncio.sleep(self._interval)

    async def _scrape(self, endpoint: Endpoint) -> Vitals | None:
        """None where there is nothing to learn: an engine other than vLLM has no such page, a dying one no answer."""
        try:
            status, page = await fetch(endpoint, "/metrics", self._limits)
        except UpstreamError:
            return None
        return read_vitals(page) if status == 200 else None


def _forget(endpoint: Endpoint) -> None:
    endpoint.vitals = None
