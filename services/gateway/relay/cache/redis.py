"""Answers kept in Redis, for all gateways that use it.

A model's values stand under `naru:cache:{model}:<key>` and end by themselves. Beside them a sorted set knows when each
was used last, and a hash its size and all sizes' sum: both are changed by the scripts below only, so gateways that
keep answers at the same time stay within the bound together. Redis may evict any of these keys: where one of the two
is gone, both begin anew, and values that neither knows end with their time.
"""

import asyncio
import logging
from collections.abc import Collection, Coroutine

from redis.exceptions import RedisError, ResponseError

from services.common.logs import log
from services.gateway.redis_client import connect
from services.gateway.registry import Cache
from services.gateway.relay.cache.store import HIT, MISS, UNAVAILABLE, Found, Level
from services.gateway.settings import RedisSettings

logger = logging.getLogger("naru.cache")

OVERHEAD = 310
"""Bytes that an entry takes in the sorted set and in the hash, measured with `MEMORY USAGE` on Redis 7."""
REST = 1.0
"""Seconds for which Redis is not asked after it did not answer."""
CONNECTIONS = 16
PUTS = 64
"""Values on their way to Redis; a further one is not kept."""

_GET = """
local value = redis.call('GET', KEYS[1])
if value then
  local now = redis.call('TIME')
  redis.pcall('ZADD', KEYS[2], 'XX', now[1] + now[2] / 1e6, ARGV[1])
end
return value
"""
_PUT = """
local used, sizes, key = KEYS[2], KEYS[3], ARGV[1]
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
local size = redis.call('MEMORY', 'USAGE', KEYS[1]) + ARGV[5]
if redis.call('EXISTS', used, sizes) < 2 then redis.call('DEL', used, sizes) end
local total = (redis.call('HGET', sizes, 'sum') or 0) - (redis.call('HGET', sizes, key) or 0) + size
redis.call('ZREM', used, key)
while total > tonumber(ARGV[4]) do
  local oldest = redis.call('ZPOPMIN', used)[1]
  if not oldest then total = size break end
  total = total - (redis.call('HGET', sizes, oldest) or 0)
  redis.call('HDEL', sizes, oldest)
  redis.call('DEL', ARGV[6] .. oldest)
end
local now = redis.call('TIME')
redis.call('ZADD', used, now[1] + now[2] / 1e6, key)
redis.call('HSET', sizes, key, size, 'sum', total)
redis.call('PEXPIRE', used, ARGV[3])
redis.call('PEXPIRE', sizes, ARGV[3])
return {total, redis.call('ZCARD', used)}
"""


class RedisStore:
    def __init__(self, settings: RedisSettings, level: Level) -> None:
        """A request waits for Redis no longer than `settings.timeout`."""
        self._redis = connect(settings, settings.timeout)
        self._get, self._put = self._redis.register_script(_GET), self._redis.register_script(_PUT)
        self._settings, self._level = settings, level
        self._turns = asyncio.Semaphore(CONNECTIONS)
        self._tasks: set[asyncio.Task[None]] = set()
        self._puts = 0
        self._rests_until = 0.0
        self._away = self._full = False

    def get(self, model: str, key: bytes, found: Found) -> None:
        if self._resting:
            found(UNAVAILABLE, None)
        else:
            self._run(self._look_up(model, key.hex(), found))

    def put(self, model: str, bounds: Cache, key: bytes, value: bytes) -> None:
        if not self._resting and self._puts < PUTS:
            self._puts += 1
            self._run(self._store(model, bounds, key.hex(), value))

    def keep_only(self, models: Collection[str]) -> None:
        """Nothing to do: other gateways may have another registry, and what nobody asks for ends with its time."""

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    @property
    def _resting(self) -> bool:
        return asyncio.get_running_loop().time() < self._rests_until

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look_up(self, model: str, key: str, found: Found) -> None:
        value: bytes | None = None
        result = UNAVAILABLE
        try:
            async with asyncio.timeout(self._settings.timeout), self._turns:
                value = await self._get([self._names(model) + key, self._names(model) + "used"], [key])
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
        else:
            self._answered()
            result = MISS if value is None else HIT
        found(result, value)

    async def _store(self, model: str, bounds: Cache, key: str, value: bytes) -> None:
        names = self._names(model)
        keys = [names + key, names + "used", names + "sizes"]
        try:
            async with asyncio.timeout(self._settings.timeout), self._turns:
                level = await self._put(
                    keys, [key, value, int(bounds.ttl * 1000), bounds.bytes, OVERHEAD, names]
                )  # fmt: skip
        except ResponseError as error:  # it is there and refuses: most likely its memory is full
            if not self._full:
                log(logger, logging.WARNING, "the cache's Redis keeps no answers", reason=type(error).__name__)
            self._full = True
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
        else:
            self._answered()
            self._full = False
            self._level.is_now(model, *level)
        finally:
            self._puts -= 1

    def _failed(self, error: Exception) -> None:
        self._rests_until = asyncio.get_running_loop().time() + REST
        if not self._away:  # the error's own text may hold the address, and with it a password
            log(logger, logging.WARNING, "the cache's Redis does not answer", reason=type(error).__name__)
        self._away = True

    def _answered(self) -> None:
        if self._away:
            log(logger, logging.INFO, "the cache's Redis answers again")
        self._away = False

    def _names(self, model: str) -> str:
        """What a model's keys begin with; the braces keep them in one slot of a Redis Cluster."""
        return f"{self._settings.prefix}:cache:{{{model}}}:"
