"""Limits counted in this process: exact for one gateway, and each replica's own.

The minute is a window that slides second by second: whatever 60 s are looked at, no more than the limit was admitted in
them. A request is counted in its second and forgotten when that second is wholly out of the window, so a window takes
the same room and time whatever the limit.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.limiter import DAY, LIMITS, MINUTE, STREAM_WAIT, Claim, refuse, until_tomorrow

SLOTS = MINUTE + 1
"""The seconds that a window of a minute touches."""


class Counters:
    """What one scope has used: `requests` and `tokens` of the last minute, tokens `today`, streams that run. Tokens are
    counted where they are limited."""

    __slots__ = ("request_slots", "requests", "second", "slot", "streams", "today", "token_slots", "tokens")

    def __init__(self) -> None:
        self.request_slots, self.token_slots = [0] * SLOTS, [0] * SLOTS
        self.second = self.slot = self.requests = self.tokens = self.today = self.streams = 0

    def advance(self, second: int) -> None:
        """Forget what has left the windows. A clock that is set back stands still here until it has caught up."""
        if second <= self.second:
            return
        for old in range(max(self.second + 1, second - MINUTE), second + 1):
            slot = old % SLOTS
            self.requests -= self.request_slots[slot]
            self.tokens -= self.token_slots[slot]
            self.request_slots[slot] = self.token_slots[slot] = 0
        if second // DAY != self.second // DAY:
            self.today = 0
        self.second, self.slot = second, second % SLOTS

    def exchange(self, reserved: int, since: int, tokens: int) -> None:
        """Tokens that were used for those that were reserved in an earlier second."""
        if since >= self.second - MINUTE:
            self.tokens -= reserved
            self.token_slots[since % SLOTS] -= reserved
        if since // DAY == self.second // DAY:
            self.today -= reserved
        self.tokens += tokens
        self.token_slots[self.slot] += tokens
        self.today += tokens

    def until(self, limit: str, most: float, now: float) -> float:
        """Seconds until that limit, which is `most`, leaves room, if nothing is added."""
        if limit == "requests_per_minute":
            return self._until_below(self.request_slots, self.requests, most, now)
        if limit == "tokens_per_minute":
            return self._until_below(self.token_slots, self.tokens, most, now)
        return until_tomorrow(now) if limit == "tokens_per_day" else STREAM_WAIT

    def _until_below(self, slots: list[int], total: int, most: float, now: float) -> float:
        for second in range(self.second - MINUTE, self.second + 1):
            total -= slots[second % SLOTS]
            if total < most:
                return second + SLOTS - now
        return 0.0

    @property
    def idle(self) -> bool:
        return not (self.streams or self.today or self.requests or self.tokens)


class Held(NamedTuple):
    """The counters of some scopes, alone and with their scopes, and those whose tokens are limited."""

    counters: list[Counters]
    pairs: list[tuple[Scope, Counters]]
    metered: list[Counters]


class MemoryLimiter:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds since 1970, so that a day is a day."""
        self._clock = clock
        self._counters: dict[str, Counters] = {}
        self._held: dict[tuple[Scope, ...], Held] = {}
        """The counters of each caller's scopes, found once."""

    def restore(self, tokens: Mapping[str, int]) -> None:
        second = int(self._clock())
        for scope, used in tokens.items():
            found = self._counters.setdefault(scope, Counters())
            found.advance(second)
            found.today += used

    # Each request passes through these two: what a method call would cost is spelled out.

    def ask(self, claim: Claim) -> None:
        now, stream = self._clock(), claim.stream
        second = int(now)
        held = self._held.get(claim.scopes) or self._hold(claim.scopes)
        for scope, found in held.pairs:
            if found.second != second:
                found.advance(second)
            if (
                found.requests >= scope.requests_per_minute or found.tokens >= scope.tokens_per_minute
                or found.today >= scope.tokens_per_day or (stream and found.streams >= scope.concurrent_streams)
            ):  # fmt: skip
                self._refuse(claim, held, now)
                return
        for found in held.counters:
            found.requests += 1
            found.request_slots[found.slot] += 1
            found.streams += stream
        reserved = claim.reserved
        if reserved:
            for found in held.metered:
                found.tokens += reserved
                found.token_slots[found.slot] += reserved
                found.today += reserved
            claim.granted(held.counters, second)
        else:
            claim.granted(held.counters)

    def settle(self, claim: Claim, tokens: int, since: int = 0) -> None:
        held = self._held.get(claim.scopes) or self._hold(claim.scopes)
        if claim.stream:
            for found in held.counters:
                found.streams -= 1
        metered = held.metered
        if not (metered and (tokens or since)):
            return
        second = int(self._clock())
        more = tokens - claim.reserved if since else tokens
        for found in metered:
            if found.second != second:
                found.advance(second)
            if since and since != second:
                found.exchange(claim.reserved, since, tokens)
            else:
                found.tokens += more
                found.token_slots[found.slot] += more
                found.today += more

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

    def _hold(self, scopes: tuple[Scope, ...]) -> Held:
        counters = [self._counters.setdefault(scope.id, Counters()) for scope in scopes]
        pairs = list(zip(scopes, counters, strict=True))
        held = self._held[scopes] = Held(counters, pairs, [found for scope, found in pairs if scope.metered])
        return held

    def _refuse(self, claim: Claim, held: Held, now: float) -> None:
        """Say which of the limits that leave no room will do so for the longest: until then asking again is in vain."""
        waits = []
        for scope, found in held.pairs:
            found.advance(int(now))
            streams = found.streams if claim.stream else -1
            for limit, used in zip(LIMITS, (found.requests, found.tokens, found.today, streams), strict=True):
                if used >= (most := getattr(scope, limit)):
                    waits.append((found.until(limit, most, now), limit, scope))
        wait, limit, scope = max(waits, key=lambda known: known[0])
        refuse(claim, scope, limit, wait, held.counters)
