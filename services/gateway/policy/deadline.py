"""The client's own deadline, from `x-naru-timeout` or gRPC: it ends a call that waits as well as one that runs."""

import asyncio
from collections.abc import Callable
from time import perf_counter

from services.common.errors import DeadlineExceeded
from services.gateway.relay.relay import Relay


class Deadline:
    """`due` is `time.perf_counter()`'s; `closed` is called once the call is over."""

    def __init__(self, due: float, closed: Callable[[Relay], None]) -> None:
        self._due, self._closed = due, closed
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, relay: Relay) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._due - perf_counter(), pass_over, relay)

    def closed(self, relay: Relay) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._closed(relay)


def pass_over(relay: Relay) -> None:
    """The deadline has passed."""
    relay.abort(DeadlineExceeded("the request's deadline passed before its answer was complete"))
