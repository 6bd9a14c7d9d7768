"""Limits counted in this process: exact for one gateway, and each replica's own.

The minute is a window that slides second by second: whatever 60 s are looked at, no more than the limit was admitted in
them. A request is counted in its second and forgotten when that second is wholly out of the window, so a window takes
the same room and time whatever the limit.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.counters import Counters
from services.gateway.policy.windows.limiter import LIMITS, MINUTE, Claim, Standing, refuse


class MemoryLimiter:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970, so that a day is a day."""
        self._clock = clock
        self._counters: dict[str, Counters] = {}
        self._held: dict[tuple[Scope, ...], list[Counters]] = {}
        """The counters of each caller's scopes, found once."""

    def restore(self, tokens: Mapping[str, int]) -> None:
        second = int(self._clock())
        for scope, used in tokens.items():
            found = self._counters.setdefault(scope, Counters())
            found.advance(second)
            found.restore(used)

    # Each request passes through these two: what a method call would cost is spelled out.

    def ask(self, claim: Claim) -> Sequence[Standing] | None:
        stream, reserved = claim.stream, claim.reserved
        second = int(self._clock())
        held = self._held.get(claim.scopes) or self._hold(claim.scopes)
        for found in held:
            if found.second != second:
                found.advance(second)
            if found.requests_left < 1 or found.tokens_left < 1 or (stream and found.streams_left < 1):
                self._refuse(claim, held, found)
                return None
            found.requests_left -= 1
            found.tokens_left -= reserved
            found.streams_left -= stream
        if reserved:
            claim.since = second
        return held

    def settle(self, claim: Claim, tokens: int, since: int = 0) -> None:
        stream = claim.stream
        if not (stream or tokens or since):
            return
        second = int(self._clock())
        more = tokens - claim.reserved if since else tokens
        for found in self._held.get(claim.scopes) or self._find(claim.scopes):
            found.streams_left += stream
            if found.second != second:
                found.advance(second)
            if since in (0, second):
                found.tokens_left -= more
            else:
                found.exchange(claim.reserved, since, tokens)

    async def run(self) -> None:
        """Forget the scopes that nothing is known of: keys come and go."""
        while True:
            await asyncio.sleep(MINUTE)
            second = int(self._clock())
            for counters in self._counters.values():
                counters.advance(second)
            self._counters = {scope: counters for scope, counters in self._counters.items() if not counters.idle}
            self._held.clear()

    async def close(self) -> None:
        pass

    def _find(self, scopes: Sequence[Scope]) -> list[Counters]:
        return [self._counters.setdefault(scope.id, Counters()) for scope in scopes]

    def _hold(self, scopes: tuple[Scope, ...]) -> list[Counters]:
        found = self._find(scopes)
        changed = [counters.limit(scope) for scope, counters in zip(scopes, found, strict=True)]
        if any(changed):
            self._held.clear()  # whoever shares a scope with these: the newest limits hold for all
        self._held[scopes] = found
        return found

    def _refuse(self, claim: Claim, held: list[Counters], last: Counters) -> None:
        """Give back what was taken before the `last` one, and say which of the limits that leave no room will do so for
        the longest: until then asking again is in vain."""
        for found in held[: held.index(last)]:
            found.requests_left += 1
            found.tokens_left += claim.reserved
            found.streams_left += claim.stream
        now, waits = self._clock(), []
        for scope, found in zip(claim.scopes, held, strict=True):
            found.advance(int(now))
            for limit, used in zip(LIMITS, found.used, strict=True):
                counts = claim.stream or limit != "concurrent_streams"
                if counts and used >= (most := getattr(scope, limit)):
                    waits.append((found.until(limit, most, now), limit, scope))
        wait, limit, scope = max(waits, key=lambda known: known[0])
        refuse(claim, scope, limit, wait, held)
