"""What a limiter does, wherever it counts: `memory.py` for one gateway, `redis.py` for all replicas together."""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from services.common.errors import NaruError, QuotaExceeded
from services.gateway.policy.keyring import Scope

MINUTE = 60
DAY = 86_400
"""Seconds."""
STREAM_WAIT = 1
"""Seconds after which a client may ask again for a stream: nobody knows when one of its own ends."""
UNLIMITED = 1 << 50
"""What is left where there is no limit: more than a second can take."""


class Standing:
    """What a scope's limits leave; this request is counted where it was granted, and tokens that are reserved."""

    __slots__ = ("daily", "requests_left", "tokens_left")

    def __init__(self, requests_left: int, tokens_left: int, *, daily: bool) -> None:
        self.requests_left = requests_left
        """In this minute."""
        self.tokens_left = tokens_left
        """In this minute or this day, whichever leaves less."""
        self.daily = daily
        """Whether that is the day."""


class Claim(Protocol):
    """One request's, on its scopes."""

    @property
    def scopes(self) -> tuple[Scope, ...]: ...

    @property
    def stream(self) -> bool: ...
    @property
    def reserved(self) -> int:
        """Tokens that it is expected to use: they count from now on, until it is settled by what it did use."""

    since: int
    """The second in which they were reserved; 0 where none are."""

    def granted(self, standings: Sequence[Standing], since: int = 0) -> None:
        """One standing for each scope; none where the limits could not be read and the request may run all the same.
        `since`: for the field."""

    def refused(self, error: NaruError, standings: Sequence[Standing] = (), limit: str = "", scope: str = "") -> None:
        """`limit` and `scope`: which limit it was, and whose."""


class Limiter(Protocol):
    def ask(self, claim: Claim) -> Sequence[Standing] | None:
        """Take one request, and a stream where it is one, from each scope, or nothing from any.

        Returns the standings where that can be granted at once, with `since` set; else None, and calls `granted` or
        `refused`, now or later.
        """

    def settle(self, claim: Claim, tokens: int, since: int = 0) -> None:
        """A claim that was granted is over: charge its tokens, give its stream and, where it has any since then, its
        reserved tokens back."""

    def restore(self, tokens: Mapping[str, int]) -> None:
        """What scopes, by their ids, used of today's tokens before this process began."""

    async def run(self) -> None:
        """Housekeeping, for ever."""

    async def close(self) -> None:
        """Nothing more will come."""


LIMITS = {
    "requests_per_minute": "requests per minute",
    "tokens_per_minute": "tokens per minute",
    "tokens_per_day": "tokens per day",
    "concurrent_streams": "streams at once",
}
"""Each limit's field, and how it is called."""


def refuse(claim: Claim, scope: Scope, limit: str, wait: float, standings: Sequence[Standing]) -> None:
    """`wait`: seconds until the request would have been granted."""
    seconds = max(1, math.ceil(wait))
    most = getattr(scope, limit)
    message = f"{scope.whose} has used up its limit of {most:g} {LIMITS[limit]}: send the request again in {seconds} s"
    claim.refused(QuotaExceeded(message, retry_after=seconds), standings, limit, scope.id)


def until_tomorrow(now: float) -> float:
    """Seconds until the day (UTC) ends."""
    return DAY - now % DAY
