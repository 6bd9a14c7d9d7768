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


def ratelimit_headers(scopes: Sequence[Scope], standings: Sequence[Standing]) -> list[Header]:
    """For requests and for tokens the limit that leaves least."""
    requests = tokens = most_requests = most_tokens = inf
    daily = False
    for scope, used in zip(scopes, standings, strict=False):
        if (left := scope.requests_per_minute - used.requests) < requests:
            requests, most_requests = left, scope.requests_per_minute
        if (left := scope.tokens_per_minute - used.tokens) < tokens:
            tokens, most_tokens, daily = left, scope.tokens_per_minute, False
        if (left := scope.tokens_per_day - used.today) < tokens:
            tokens, most_tokens, daily = left, scope.tokens_per_day, True
    made: list[Header] = []
    if requests is not inf:
        rest = b"%d" % requests if requests > 0 else b"0"
        made = [(LIMIT_REQUESTS, b"%d" % most_requests), (REMAINING_REQUESTS, rest), RESET_REQUESTS]
    if tokens is not inf:
        rest = b"%d" % tokens if tokens > 0 else b"0"
        made += (LIMIT_TOKENS, b"%d" % most_tokens), (REMAINING_TOKENS, rest), _tomorrow() if daily else RESET_TOKENS
    return made


def _tomorrow() -> Header:
    return RESET_TOKENS[0], duration(until_tomorrow(time.time()))


def duration(seconds: float) -> bytes:
    """`90` as `1m30s`, as Go and OpenAI write it."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return b"%dh%dm%ds" % (hours, minutes, left)
    return b"%dm%ds" % (minutes, left) if minutes else b"%ds" % left
