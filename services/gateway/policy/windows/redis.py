"""Limits counted in Redis, for all the gateways on it together.

Requests that come at the same time go to Redis together, in one pipeline on one connection: what a round trip costs is
shared, and a slow Redis is never asked twice at once. Each request waits for at most the timeout; without an answer it
is let in or refused as configured. From then on nobody waits for Redis until a probe finds it well.
"""

import asyncio
import contextlib
import hashlib
import itertools
import logging
import secrets
from collections import Counter, deque
from collections.abc import Coroutine, Iterable, Mapping
from math import inf
from typing import Any

from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from services.common.errors import Unavailable
from services.common.logs import log
from services.gateway.instruments import Count
from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows import scripts
from services.gateway.policy.windows.limiter import LIMITS, UNLIMITED, Claim, Standing, refuse
from services.gateway.redis_client import Pipeline, connect
from services.gateway.settings import LimitSettings, RedisSettings

logger = logging.getLogger("naru.limits")

PROBES = 0.25
"""Seconds between two looks at a Redis that is away."""
IDLE = 1.0
"""Seconds without a request after which Redis is looked at all the same."""
AT_ONCE = 256
"""Requests in one pipeline."""
FAULTS = (RedisError, OSError)
SHAS = {
    script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (scripts.ADMIT, scripts.CHARGE, scripts.GIVE_BACK, scripts.RENEW, scripts.PROBE)
}


class Asking:
    """A claim that waits for Redis; it has none any more once it was decided without."""

    __slots__ = ("claim", "member", "reserved", "scopes", "timer")

    def __init__(self, claim: Claim, member: str) -> None:
        self.claim: Claim | None = claim
        self.scopes, self.reserved = claim.scopes, claim.reserved
        self.member = member
        self.timer: asyncio.TimerHandle | None = None

    def take(self) -> Claim | None:
        claim, self.claim = self.claim, None
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        return claim


def standing(scope: Scope, requests: int, tokens: int, today: int) -> Standing:
    """`requests`, `tokens`: of the last minute; `today`: tokens of the day."""
    minute, day = scope.tokens_per_minute - tokens, scope.tokens_per_day - today
    left = (int(min(UNLIMITED, of)) for of in (scope.requests_per_minute - requests, min(minute, day)))
    return Standing(*left, daily=day < minute)


class RedisLimiter:
    def __init__(self, settings: RedisSettings, limits: LimitSettings, up: Count) -> None:
        """`up`: a gauge, 1 while Redis answers."""
        self._redis = connect(settings, settings.timeout)
        self._settings, self._limits, self._up = settings, limits, up
        up.value = 1
        self._asking: list[Asking] = []
        self._streams: dict[Claim, str] = {}
        """What holds a lease, and its member."""
        self._spent: Counter[Scope] = Counter()
        self._unused: Counter[tuple[Scope, int]] = Counter()
        """Reserved tokens to give back, by the second in which they were reserved."""
        self._ended: deque[tuple[Scope, str]] = deque(maxlen=4 * AT_ONCE)
        """Leases to give back; what is left out ends by itself."""
        self._renewal = 0.0
        self._process, self._numbers = secrets.token_hex(6), itertools.count()
        self._wake = asyncio.Event()
        self._talk: asyncio.Future[None] | None = None
        """With Redis, the last one."""

    def restore(self, tokens: Mapping[str, int]) -> None:
        """Redis knows today's tokens itself."""

    def ask(self, claim: Claim) -> None:
        if not self._up.value:
            self._decide(claim)
            return
        asking = Asking(claim, f"{self._process}-{next(self._numbers)}" if claim.stream else "")
        asking.timer = asyncio.get_running_loop().call_later(self._settings.timeout, self._late, asking)
        self._asking.append(asking)
        self._wake.set()

    def settle(self, claim: Claim, tokens: int, since: int = 0) -> None:
        member = self._streams.pop(claim, None)
        if member is not None:
            self._ended.extend((scope, member) for scope in claim.scopes)
        if tokens:
            self._spent.update({scope: tokens for scope in claim.scopes if scope.metered})
        if since:
            self._give_back(claim.scopes, claim.reserved, since)
        self._wake.set()

    async def run(self) -> None:
        await self._whole(self._probe())
        while True:
            if self._up.value:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE):
                        await self._wake.wait()
                await self._whole(self._exchange())
            else:
                await asyncio.sleep(PROBES)
                await self._whole(self._probe())

    async def close(self) -> None:
        if self._talk is not None:
            await self._talk
        if self._up.value:
            await self._exchange()
        await self._redis.aclose()

    async def _whole(self, talk: Coroutine[Any, Any, None]) -> None:
        """Talk to Redis, to the end even if this is cancelled: redis-py, cancelled inside a command, may go on as if it
        were not."""
        self._talk = asyncio.ensure_future(talk)
        await asyncio.shield(self._talk)

    # without Redis

    def _late(self, asking: Asking) -> None:
        claim = asking.take()
        if claim is not None:
            self._decide(claim)

    def _decide(self, claim: Claim) -> None:
        if self._limits.redis_away == "open":
            claim.granted(())
        else:
            claim.refused(Unavailable("the limits of this API key can't be checked: try again", retry_after=1))

    async def _probe(self) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for script in SHAS:
            pipe.script_load(script)
        pipe.evalsha(SHAS[scripts.PROBE], 1, f"{self._settings.prefix}:probe")
        try:
            await pipe.execute()
        except FAULTS as error:
            self._turn(error)
        else:
            self._renewal = 0.0  # a Redis that was started anew has forgotten the streams
            self._turn(None)

    def _turn(self, fault: Exception | None) -> None:
        if fault is not None and self._up.value:
            log(
                logger, logging.WARNING, "Redis is away: limits are not counted", reason=str(fault) or repr(fault),
                requests="let in" if self._limits.redis_away == "open" else "refused",
            )  # fmt: skip
        elif fault is None and not self._up.value:
            log(logger, logging.INFO, "Redis is back: limits are counted again")
        self._up.value = int(fault is None)

    # with Redis

    async def _exchange(self) -> None:
        """Send all that waits, and pass on the answers."""
        self._wake.clear()
        asking, self._asking = self._asking[:AT_ONCE], self._asking[AT_ONCE:]
        spent, self._spent = self._spent, Counter()
        unused, self._unused = self._unused, Counter()
        ended, self._ended = self._ended, deque(maxlen=self._ended.maxlen)
        if self._asking:
            self._wake.set()
        pipe = self._redis.pipeline(transaction=False)
        for one in asking:
            self._admit(pipe, one)
        self._charge(pipe, spent, unused, ended)
        self._renew(pipe)
        answers, fault = await _execute(pipe)
        if fault is not None:
            if not isinstance(fault, RedisTimeout):  # after which nobody knows whether it was charged
                self._spent.update(spent)
                self._unused.update(unused)
            self._ended.extend(ended)
            self._turn(fault)
            asking, self._asking = asking + self._asking, []
        for one, answer in itertools.zip_longest(asking, answers[: len(asking)]):
            self._answered(one, answer)

    def _admit(self, pipe: Pipeline, asking: Asking) -> None:
        claim = asking.claim
        if claim is None:  # it was late before it was sent
            pipe.ping()
            return
        keys = [key for scope in claim.scopes for key in self._keys(scope)]
        limits = [_most(scope, limit) for scope in claim.scopes for limit in LIMITS]
        pipe.evalsha(SHAS[scripts.ADMIT], len(keys), *keys, asking.member, self._limits.lease, asking.reserved, *limits)

    def _charge(
        self, pipe: Pipeline, spent: Counter[Scope], unused: Counter[tuple[Scope, int]],
        ended: Iterable[tuple[Scope, str]],
    ) -> None:  # fmt: skip
        for (scope, since), tokens in unused.items():
            pipe.evalsha(SHAS[scripts.GIVE_BACK], 2, *self._keys(scope)[1:3], tokens, since)
        for scope, tokens in spent.items():
            pipe.evalsha(SHAS[scripts.CHARGE], 2, *self._keys(scope)[1:3], tokens)
        for scope, member in ended:
            pipe.zrem(self._keys(scope)[3], member)

    def _renew(self, pipe: Pipeline) -> None:
        """Now and then, and where nothing else was to be said, so that a Redis that is gone is missed."""
        now = asyncio.get_running_loop().time()
        if now > self._renewal:
            self._renewal = now + self._limits.lease / 3
            for claim, member in self._streams.items():
                for scope in claim.scopes:
                    pipe.evalsha(SHAS[scripts.RENEW], 1, self._keys(scope)[3], self._limits.lease, member)
        if not len(pipe):
            pipe.ping()

    def _answered(self, asking: Asking, answer: Any) -> None:
        """`answer`: what the script returned; anything else where it did not."""
        if not isinstance(answer, list):
            self._late(asking)
            return
        claim = asking.take()
        number, limit, wait, second, *used = answer
        if claim is None:  # decided meanwhile, whatever it says
            self._ended.extend((scope, asking.member) for scope in asking.scopes if asking.member)
            if asking.reserved and not number:
                self._give_back(asking.scopes, asking.reserved, second)
            return
        standings = [standing(scope, *used[3 * i : 3 * i + 3]) for i, scope in enumerate(claim.scopes)]
        if number:
            refuse(claim, claim.scopes[number - 1], tuple(LIMITS)[limit - 1], float(wait), standings)
            return
        if asking.member:
            self._streams[claim] = asking.member
        claim.granted(standings, second if asking.reserved else 0)

    def _give_back(self, scopes: Iterable[Scope], tokens: int, since: int) -> None:
        self._unused.update({(scope, since): tokens for scope in scopes if scope.metered})

    def _keys(self, scope: Scope) -> list[str]:
        """In braces what decides the place in a cluster: a request's keys must be together."""
        return [f"{self._settings.prefix}:{{{scope.tenant}}}:{scope.id}:{kind}" for kind in "rtds"]


async def _execute(pipe: Pipeline) -> tuple[list[Any], Exception | None]:
    """The answers, and the first fault among them or the one because of which there are none."""
    try:
        answers = await pipe.execute(raise_on_error=False)
    except FAULTS as error:
        return [], error
    return answers, next((answer for answer in answers if isinstance(answer, Exception)), None)


def _most(scope: Scope, limit: str) -> int:
    most: float = getattr(scope, limit)
    return 0 if most == inf else int(most)
