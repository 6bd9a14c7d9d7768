"""`x-ratelimit-*`: what is left of a caller's limits, in OpenAI's names and form.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import time
from collections.abc import Sequence
from math import inf

from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.limiter import UNLIMITED, Standing, until_tomorrow

REQUESTS = (
    b"x-ratelimit-limit-requests: %d\r\nx-ratelimit-remaining-requests: %%d\r\nx-ratelimit-reset-requests: 1m0s\r\n"
)
TOKENS = b"x-ratelimit-limit-tokens: %d\r\nx-ratelimit-remaining-tokens: %%d\r\nx-ratelimit-reset-tokens: %%b\r\n"
MOST = 2 * UNLIMITED
"""More than anything leaves."""
MINUTE = b"1m0s"
"""When a minute that slides is empty again, if nothing more comes."""


class Told:
    """What a caller of these scopes is told: which limits there are does not change, so that is worked out once."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._requests = [_filled(REQUESTS, scope.requests_per_minute) for scope in scopes]
        self._minute = [_filled(TOKENS, scope.tokens_per_minute) for scope in scopes]
        self._day = [_filled(TOKENS, scope.tokens_per_day) for scope in scopes]
        self._reset = 0, MINUTE
        """When the day ends, as of that second."""

    def lines(self, standings: Sequence[Standing], own: int) -> bytes:
        """For requests and for tokens the limit that leaves least, as lines of a head. `own`: tokens reserved for the
        call itself, which it has not used."""
        if not standings:
            return b""
        requests, tokens, asked, spent = MOST, MOST, 0, 0
        for at, one in enumerate(standings):
            if one.requests_left < requests:
                requests, asked = one.requests_left, at
            if one.tokens_left < tokens:
                tokens, spent = one.tokens_left, at
        # Nothing is told where there is no such limit: also where it came with limits that changed meanwhile.
        made, daily = b"", standings[spent].daily
        if line := self._requests[asked]:
            made = line % max(0, requests)
        if line := (self._day if daily else self._minute)[spent]:
            made += line % (max(0, tokens + own), self._tomorrow() if daily else MINUTE)
        return made

    def _tomorrow(self) -> bytes:
        second = int(time.time())
        if second != self._reset[0]:
            self._reset = second, duration(until_tomorrow(second))
        return self._reset[1]


def _filled(lines: bytes, limit: float) -> bytes:
    return b"" if limit == inf else lines % limit


def duration(seconds: float) -> bytes:
    """`90` as `1m30s`, as Go and OpenAI write it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, left)
    return b"%dm%ds" % (minutes, left) if minutes else b"%ds" % left
