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
        self._requests = [
            (at, scope.requests_per_minute, (LIMIT_REQUESTS, b"%d" % scope.requests_per_minute))
            for at, scope in enumerate(scopes) if scope.requests_per_minute != inf
        ]  # fmt: skip
        self._tokens = [
            (at, scope.tokens_per_minute, (LIMIT_TOKENS, b"%d" % scope.tokens_per_minute))
            for at, scope in enumerate(scopes) if scope.tokens_per_minute != inf
        ]  # fmt: skip
        self._today = [
            (at, scope.tokens_per_day, (LIMIT_TOKENS, b"%d" % scope.tokens_per_day))
            for at, scope in enumerate(scopes) if scope.tokens_per_day != inf
        ]  # fmt: skip

        self._reset = 0, RESET_TOKENS
        """When the day ends, as of that second."""

    def headers(self, standings: Sequence[Standing], own: int) -> list[Header]:
        """For requests and for tokens the limit that leaves least. `own`: tokens reserved for the call itself, which
        it has not used."""
        made: list[Header] = []
        if not standings:
            return made
        least = inf
        for at, most, header in self._requests:
            if (left := most - standings[at].requests) < least:
                least, limit = left, header
        if least is not inf:
            made = [limit, (REMAINING_REQUESTS, b"%d" % least if least > 0 else b"0"), RESET_REQUESTS]
        if self._tokens or self._today:
            made += self._of_tokens(standings, own)
        return made

    def _of_tokens(self, standings: Sequence[Standing], own: int) -> tuple[Header, Header, Header]:
        least, daily = inf, False
        for at, most, header in self._tokens:
            if (left := most - standings[at].tokens) < least:
                least, limit = left, header
        for at, most, header in self._today:
            if (left := most - standings[at].today) < least:
                least, limit, daily = left, header, True
        least += own
        rest = b"%d" % least if least > 0 else b"0"
        return limit, (REMAINING_TOKENS, rest), self._tomorrow() if daily else RESET_TOKENS

    def _tomorrow(self) -> Header:
        second = int(time.time())
        if second != self._reset[0]:
            self._reset = second, (RESET_TOKENS[0], duration(until_tomorrow(second)))
        return self._reset[1]


def duration(seconds: float) -> bytes:
    """`90` as `1m30s`, as Go and OpenAI write it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, left)
    return b"%dm%ds" % (minutes, left) if minutes else b"%ds" % left
