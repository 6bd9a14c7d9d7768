"""What one scope has used of its limits, and has left: a window of a minute that slides second by second, and a day."""

from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.limiter import (
    DAY,
    LIMITS,
    MINUTE,
    STREAM_WAIT,
    UNLIMITED,
    Standing,
    until_tomorrow,
)

SLOTS = MINUTE + 1
"""The seconds that a window of a minute touches."""


class Counters(Standing):
    """What one scope has left. `requests_left`, `tokens_left` and `streams_left` are counted down; what was taken is
    entered into its second's slot when the next one begins, and what is left is then worked out anew."""

    __slots__ = (
        "_limits", "_requests", "_slot", "_then", "_today", "_tokens", "request_slots", "second", "streams_left",
        "token_slots",
    )  # fmt: skip

    def __init__(self) -> None:
        self.request_slots, self.token_slots = [0] * SLOTS, [0] * SLOTS
        self.second = self._slot = self._requests = self._tokens = self._today = 0
        self._limits = [UNLIMITED] * len(LIMITS)
        self.streams_left = UNLIMITED
        super().__init__(UNLIMITED, UNLIMITED, daily=False)
        self._open()

    def limit(self, scope: Scope) -> bool:
        """From now on this scope's limits hold. Returns whether they are others than before."""
        before, limits = self._limits, [int(min(UNLIMITED, getattr(scope, limit))) for limit in LIMITS]
        if limits == before:
            return False
        self._enter()
        self._limits = limits
        self.streams_left += limits[-1] - before[-1]
        self._open()
        return True

    def advance(self, second: int) -> None:
        """Forget what has left the windows. A clock that is set back stands still here until it has caught up."""
        if second <= self.second:
            return
        self._enter()
        for old in range(max(self.second + 1, second - MINUTE), second + 1):
            slot = old % SLOTS
            self._requests -= self.request_slots[slot]
            self._tokens -= self.token_slots[slot]
            self.request_slots[slot] = self.token_slots[slot] = 0
        if second // DAY != self.second // DAY:
            self._today = 0
        self.second, self._slot = second, second % SLOTS
        self._open()

    def restore(self, tokens: int) -> None:
        """Of today, from before this process began."""
        self._enter()
        self._today += tokens
        self._open()

    def exchange(self, reserved: int, since: int, tokens: int) -> None:
        """Tokens that were used for those that were reserved in an earlier second."""
        if not self.metered:
            return
        self._enter()
        if since >= self.second - MINUTE:
            self._tokens -= reserved
            self.token_slots[since % SLOTS] -= reserved
        if since // DAY == self.second // DAY:
            self._today -= reserved
        self._open()
        self.tokens_left -= tokens

    def _enter(self) -> None:
        """What was taken, into its second. `_open` follows."""
        requests, tokens = (then - left for then, left in zip(self._then, self._left, strict=True))
        self._requests += requests
        self.request_slots[self._slot] += requests
        if self.metered:
            self._tokens += tokens
            self.token_slots[self._slot] += tokens
            self._today += tokens

    def _open(self) -> None:
        """What is left from now on."""
        per_minute, tokens_per_minute, tokens_per_day, _ = self._limits
        minute, day = tokens_per_minute - self._tokens, tokens_per_day - self._today
        self.requests_left, self.tokens_left, self.daily = per_minute - self._requests, min(minute, day), day < minute
        self._then = self._left

    @property
    def _left(self) -> tuple[int, int]:
        return self.requests_left, self.tokens_left

    @property
    def metered(self) -> bool:
        """Whether its tokens are limited: only then are they counted."""
        return min(self._limits[1:3]) < UNLIMITED

    @property
    def used(self) -> tuple[int, int, int, int]:
        """In the order of `LIMITS`: requests and tokens of the last minute, tokens of the day, streams that run."""
        requests, tokens = (then - left for then, left in zip(self._then, self._left, strict=True))
        if not self.metered:
            tokens = 0
        streams = self._limits[-1] - self.streams_left
        return self._requests + requests, self._tokens + tokens, self._today + tokens, streams

    def until(self, limit: str, most: float, now: float) -> float:
        """Seconds until that limit, which is `most`, leaves room, if nothing is added."""
        self._enter()
        self._open()
        if limit == "requests_per_minute":
            return self._until_below(self.request_slots, self._requests, most, now)
        if limit == "tokens_per_minute":
            return self._until_below(self.token_slots, self._tokens, most, now)
        return until_tomorrow(now) if limit == "tokens_per_day" else STREAM_WAIT

    def _until_below(self, slots: list[int], total: int, most: float, now: float) -> float:
        for second in range(self.second - MINUTE, self.second + 1):
            total -= slots[second % SLOTS]
            if total < most:
                return second + SLOTS - now
        return 0.0

    @property
    def idle(self) -> bool:
        return not any(self.used)
