"""One line for each request, in the form of every other log line, gathered and written a few at a time.

`logging` builds, locks and flushes for each record, which costs more than relaying a request does.
"""

import asyncio
import time
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec

AT_ONCE = 64
"""Lines after which they are written without waiting longer."""
WAIT = 0.1
"""Seconds a line waits at most."""


class Entry(msgspec.Struct, omit_defaults=True, gc=False):
    """What a request came to; a field that is None is left out. Never a key, a header or a piece of a prompt."""

    request_id: str
    operation: str
    outcome: str
    status: int
    reason: str | None = None
    model: str | None = None
    version: str | None = None
    endpoint: str | None = None
    tenant: str | None = None
    stream: bool | None = None
    ttft: float | None = None
    """Seconds, as `tpot` and `duration`."""
    tpot: float | None = None
    duration: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache: str | None = None
    """What the model's cache said."""
    trace_id: str | None = None


class RequestLog:
    def __init__(self, stream: BinaryIO, *, enabled: bool = True) -> None:
        self._stream, self._enabled = stream, enabled
        self._lines: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._encode = msgspec.json.Encoder().encode
        self._second, self._stamp = 0, b""

    def write(self, entry: Entry) -> None:
        if not self._enabled:
            return
        now = time.time()
        if int(now) != self._second:
            self._second = int(now)
            self._stamp = datetime.fromtimestamp(self._second, UTC).strftime('{"time":"%Y-%m-%dT%H:%M:%S').encode()
        self._lines.append(
            b'%b.%03d+00:00","level":"info","logger":"naru.request","message":"request",%b'
            % (self._stamp, int(now % 1 * 1000), self._encode(entry)[1:])
        )
        if len(self._lines) >= AT_ONCE:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT, self.flush)

    def flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            self._stream.write(b"\n".join([*lines, b""]))
            self._stream.flush()
