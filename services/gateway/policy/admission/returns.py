"""When refused requests are told to come back, so that each one that does finds its place.

Everybody told the same second would come at once and be refused again. So each gets a time of its own, at the pace at
which such requests are served, and keeps its place in line: at its return it counts as having come when it first did.
"""

from bisect import insort
from collections import deque
from math import ceil
from typing import NamedTuple

LONGEST = 900
"""Seconds no `Retry-After` exceeds; what would have to wait longer is promised nothing."""
MOST = 10_000
"""Returns that are expected at once."""
GRACE = 10.0
"""Seconds by which a client may be late."""
LEAST_KEPT = 0.05
"""Share of clients that are taken to return, however few did."""


class Promise(NamedTuple):
    due: float
    """When the request may return."""
    came: float
    """When it first came."""
    after: int
    """Seconds it was told."""
    reserved: bool
    """A turn is set aside for it."""


class Returns:
    """Of one tenant's requests in one class. `key` tells requests apart: the same request has the same one."""

    __slots__ = ("_kept", "_last", "_order", "_outstanding", "_reserved")

    def __init__(self) -> None:
        self._last = self._reserved = 0.0
        self._kept = 1.0
        """Of those told to return, the share that does: clients that give up need no place."""
        self._order: deque[tuple[float, int]] = deque()
        self._outstanding: dict[int, list[Promise]] = {}

    def expected(self, now: float) -> bool:
        """Whether anyone is yet to return."""
        self._forget(now)
        return bool(self._outstanding)

    def promise(self, key: int, came: float, now: float, earliest: float, pace: float) -> int:
        """Seconds after which a request that first came then may return; `pace` is how many may in a second."""
        self._forget(now)
        return self._next(key, came, now, max(earliest, self._last + self._kept / pace))

    def guess(self, key: int, came: float, now: float, earliest: float, pace: float) -> int:
        """The same where nobody knows what there will be then: no client is taken to give up, which would add to the
        doubt."""
        self._forget(now)
        return self._next(key, came, now, max(earliest, self._last + 1.0 / pace))

    def _next(self, key: int, came: float, now: float, at: float) -> int:
        if at - now > LONGEST or len(self._order) >= MOST:
            return LONGEST
        self._last = at
        return self._note(key, came, now, at, reserved=False)

    def reserve(self, key: int, came: float, now: float, pace: float, within: float) -> int | None:
        """The same, of the turns that are set aside for such requests; None where there is none within these seconds.
        They are for those that do return: no client is taken to give up."""
        self._forget(now)
        at = max(now, self._reserved) + 1.0 / pace
        if at - now > within or len(self._order) >= MOST:
            return None
        self._reserved = at
        return self._note(key, came, now, at, reserved=True)

    def redeem(self, key: int, now: float) -> Promise | None:
        """What this request was told, if it was told to return about now."""
        self._forget(now)
        expected = self._outstanding.get(key)
        if expected is None or expected[0].due > now:
            return None
        promise = expected.pop(0)
        if not expected:
            del self._outstanding[key]
        return promise

    def _note(self, key: int, came: float, now: float, at: float, *, reserved: bool) -> int:
        after = max(1, ceil(at - now))
        due, order = now + after, self._order
        if not order or order[-1][0] <= due:  # most
            order.append((due, key))
        else:
            insort(order, (due, key))
        promise, told = Promise(due, came, after, reserved), self._outstanding.get(key)
        if told is None:
            self._outstanding[key] = [promise]
        else:
            insort(told, promise)
        return after

    def _forget(self, now: float) -> None:
        order = self._order
        while order and order[0][0] + GRACE < now:
            due, key = order.popleft()
            expected = self._outstanding.get(key)
            missed = expected is not None and expected[0].due <= due
            if expected is not None and missed:
                del expected[0]
                if not expected:
                    del self._outstanding[key]
            self._kept = max(LEAST_KEPT, self._kept + ((not missed) - self._kept) / 16)
