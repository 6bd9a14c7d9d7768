"""Follows one answer as it passes: when its first and last content left, what was used, what it came to."""

from collections.abc import Callable
from time import perf_counter

from services.gateway.answers import Answer
from services.gateway.metrics import OK
from services.gateway.relay.call import Call
from services.gateway.relay.dialects import NO_USAGE, Reading


class Meter:
    """Times are `time.perf_counter()`'s, in seconds."""

    pieces = 0
    """Events with content that the client was sent."""
    done = False
    failed = False
    finished = False
    """The engine said why its answer ended: no more text comes."""
    cache: str | None = None
    """What the model's cache, if it has one, said."""
    dispatched: float | None = None
    """When the first attempt's request was made."""
    _first_byte: float | None = None
    _first: float | None = None
    last: float = 0.0
    """When content left for the last time; of no meaning before any has."""
    _first_seen: float | None = None
    gap: Callable[[float], None]
    """Takes the seconds between two contents of a stream."""

    def __init__(self, call: Call) -> None:
        self.call, self.usage = call, NO_USAGE

    def read(self, reading: Reading) -> None:
        """What one event from the engine says, as it comes in."""
        self.finished = self.finished or reading.finished
        if reading.content:
            if self._first_seen is None:
                self._first_seen = perf_counter()
            if reading.usage is None:
                return
        if reading.usage is not None:
            self.usage = self.usage.merged(reading.usage)
        self.done = self.done or reading.done
        self.failed = self.failed or reading.failed

    def restart(self) -> None:
        """Nothing of what was read so far has reached the client, and nothing of it will."""
        self.usage, self._first_seen = NO_USAGE, None
        self.done = self.failed = self.finished = False

    def bytes_left(self) -> None:
        """Something of the answer was handed to the client's connection."""
        if self._first_byte is None:
            self._first_byte = perf_counter()

    def content_left(self, events: int) -> None:
        """So many events with content were handed to the client's connection at once."""
        now = perf_counter()
        self.pieces += events
        if self._first is None:
            self._first = now
        else:
            self.gap(now - self.last)
        while events > 1:
            self.gap(0.0)
            events -= 1
        self.last = now

    def whole_left(self) -> None:
        """An unstreamed answer was handed over: its first token left with its last."""
        self._first = self.last = self._first_byte = perf_counter()

    def answer(self, outcome: str, ended: float, *, client_fault: bool = False) -> Answer:
        usage, overhead = self.usage, None
        if self.dispatched is not None:
            overhead = self.dispatched - self.call.received
            if self._first is not None and self._first_seen is not None:
                overhead += self._first - self._first_seen
        return Answer(
            outcome=outcome, client_fault=client_fault, stream=self.call.stream, tenant=self.call.tenant,
            received=self.call.received, dispatched=self.dispatched, ended=ended,
            first_byte=self._first_byte, first_token=self._first if outcome == OK or self.call.stream else None,
            last_token=None if self._first is None else self.last, input_tokens=usage.input,
            output_tokens=usage.output, overhead=overhead,
        )  # fmt: skip
