"""Time, and the signals that cut a wait short."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from services.rollout.errors import InterruptedRolloutError


class Clock:
    def __init__(self) -> None:
        self._asked = threading.Event()
        self.signal: int | None = None

    def now(self) -> float:
        """Seconds, of a clock that never goes back."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Raises InterruptedRolloutError as soon as a signal has come."""
        if self._asked.wait(max(0.0, seconds)):
            raise InterruptedRolloutError(f"interrupted by {signal.Signals(self.signal or signal.SIGINT).name}")

    @contextmanager
    def watching(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM ends the wait; a second one ends the process, as ever."""

        def asked(number: int, _: object) -> None:
            self.signal = number
            self._asked.set()
            restore()

        before = {number: signal.signal(number, asked) for number in (signal.SIGINT, signal.SIGTERM)}

        def restore() -> None:
            for number, handler in before.items():
                signal.signal(number, handler)

        try:
            yield
        finally:
            restore()
