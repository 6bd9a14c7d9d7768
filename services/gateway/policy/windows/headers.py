"""`x-ratelimit-*`: what is left of a caller's limits, in OpenAI's names and form.

https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
"""

import time
from collections.abc import Sequence
from math import inf

from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.limiter import Standing, until_tomorrow
from services.gateway.upstream.request import Header

LIMIT_REQUESTS, LIMIT_TOKENS = b"x-ratelimit-limit-requests", b"x-ratelimit-limit-tokens"
REMAINING_REQUESTS, REMAINING_TOKENS = b"x-ratelimit-remaining-requests", b"x-ratelimit-remaining-tokens"
RESET_REQUESTS = (b"x-ratelimit-reset-requests", b"1m0s")
RESET_TOKENS = (b"x-ratelimit-reset-tokens", b"1m0s")
"""When a minute that slides is empty again, if nothing more comes."""


class Told:
    """What a caller of these scopes is told: which limits there are does not change, so that is worked out once."""

    def __init__(self, scopes: Sequence[Scope]) -> None:
        self._requests = [_header(LIMIT_REQUESTS, scope.requests_per_minute) for scope in scopes]
        self._minute = [_header(LIMIT_TOKENS, scope.tokens_per_minute) for scope in scopes]
        self._day = [_header(LIMIT_TOKENS, scope.tokens_per_day) for scope in scopes]
        self._limits_requests = any(scope.requests_per_minute != inf for scope in scopes)
        self._limits_tokens = any(scope.metered for scope in scopes)
        self._reset = 0, RESET_TOKENS
        """When the day ends, as of that second."""

    def headers(self, standings: Sequence[Standing], own: int) -> list[Header]:
        """For requests and for tokens the limit that leaves least. `own`: tokens reserved for the call itself, which
        it has not used."""
        made: list[Header] = []
        if not standings:
            return made
        requests, tokens, asked, spent = inf, inf, 0, 0
        for at, one in enumerate(standings):
            if one.requests_left < requests:
                requests, asked = one.requests_left, at
            if one.tokens_left < tokens:
                tokens, spent = one.tokens_left, at
        if self._limits_requests:
            rest = b"%d" % requests if requests > 0 else b"0"
            made = [self._requests[asked], (REMAINING_REQUESTS, rest), RESET_REQUESTS]
        if self._limits_tokens:
            tokens += own
            rest = b"%d" % tokens if tokens > 0 else b"0"
            daily = standings[spent].daily
            limit = self._day[spent] if daily else self._minute[spent]
            made += (limit, (REMAINING_TOKENS, rest), self._tomorrow() if daily else RESET_TOKENS)
        return made

    def _tomorrow(self) -> Header:
        second = int(time.time())
        if second != self._reset[0]:
            self._reset = second, (RESET_TOKENS[0], duration(until_tomorrow(second)))
        return self._reset[1]


def _header(name: bytes, limit: float) -> Header:
    return name, b"" if limit == inf else b"%d" % limit


def duration(seconds: float) -> bytes:
    """`90` as `1m30s`, as Go and OpenAI write it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, left)
    return b"%dm%ds" % (minutes, left) if minutes else b"%ds" % left
