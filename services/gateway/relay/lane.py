"""The short way for a stream's text: most of its chunks are the last one's bytes but for the text itself.

Once a chunk was parsed, cut into events and decoded as JSON, it is a pattern: whatever differs from it in nothing but
the characters of one JSON string means the same, and travels on as it came, in the endpoint's own chunk (RFC 9112,
7.1). Whatever differs in more takes the long way. To compare costs a third of what reading does.
"""

import re
from collections.abc import Callable
from time import perf_counter

from services.gateway.relay.dialects import Dialect
from services.gateway.relay.meter import Meter
from services.gateway.relay.migration import SEAM, Transcript

_TEXT = re.compile(rb'[^"\\\x00-\x1f]+').fullmatch
"""The inside of a JSON string without escapes (RFC 8259, 7), which holds no line end either."""
_ASCII = frozenset({*range(0x20), *b'"\\', *range(0x80, 0x100)}).isdisjoint
"""Whether it is such an inside in ASCII, at half the price."""
_SAMPLE = "no model says this: where it stands, text stands"


class Lane:
    """`take` is for what an endpoint's connection brings, as long as it is alike."""

    __slots__ = (
        "_frame", "_gap", "_longest", "_meter", "_pieces", "_prefix", "_said", "_tail", "_transcript", "_write", "last",
    )  # fmt: skip

    def __init__(self, write: Callable[[bytes], object], meter: Meter, transcript: Transcript | None) -> None:
        """`write` takes whole chunks, framing included."""
        self._write, self._meter, self._gap = write, meter, meter.gap
        self._pieces = 0
        self.last = 0.0
        """When something was taken for the last time."""
        self._transcript = transcript
        self._longest = 0 if transcript is None else transcript.longest
        self._prefix = self._tail = b""
        self._frame = 0

    def learn(self, dialect: Dialect, line: bytes, text: str) -> bool:
        """Make an event's data, which was read as `text` and nothing else, the pattern. Whether it can be one."""
        before, found, after = line.partition(b'"%b"' % text.encode())
        if (
            not found
            or b"\n" in line
            or dialect.read_event(b'%b"%b"%b' % (before, _SAMPLE.encode(), after)).text != _SAMPLE
        ):
            return False  # the text is written with escapes, or some other string is the same
        self._prefix, self._tail = b'data: %b"' % before, b'"%b\n\n\r\n' % after
        self._frame = len(self._prefix) + len(self._tail)
        return True

    def ready(self) -> "Lane":
        """For what comes next. A transcript that is no longer plain is of no use, and not kept up."""
        transcript = self._transcript
        self._said = transcript.said if transcript is not None and transcript.plain else None
        self.last = self._meter.last
        return self

    def settle(self) -> None:
        """Enter into the meter what was taken: it is not touched for each token, which costs less than to reach it."""
        if self._pieces:
            self._meter.pieces += self._pieces
            self._meter.last = self.last
            self._pieces = 0

    def take(self, data: bytes) -> bool:
        """Whether it took the data, which begins where a chunk does: whole chunks of some further text each."""
        # All that a token costs, in one function: each further one would be a tenth of it.
        size = len(data)
        line = _SIZE_LINES[size] if size < _USUAL else _size_line(size)
        text = data.removeprefix(line).removeprefix(self._prefix).removesuffix(self._tail)
        said = self._said
        if (
            len(text) + len(line) + self._frame != size  # something was not removed
            or not text
            or not (_ASCII(text) or _is_text(text))
            or (said is not None and len(said) + len(text) >= self._longest)
        ):
            return self._take_several(data)
        if said is not None:
            said += SEAM
            said += text
        self._write(data)
        now = perf_counter()
        self._gap(now - self.last)
        self.last = now
        self._pieces += 1
        return True

    def _take_several(self, data: bytes) -> bool:
        """Chunks that came at once, as they do when there is much to do."""
        prefix, tail, texts = self._prefix, self._tail, b""
        at, size, pieces = 0, len(data), 0
        while at < size:
            stop = data.find(tail, at)
            if stop < 0:
                return False
            end = stop + len(tail)
            line = _SIZE_LINES[end - at] if end - at < _USUAL else _size_line(end - at)
            begin = at + len(line) + len(prefix)
            if begin > stop or not (data.startswith(line, at) and data.startswith(prefix, at + len(line))):
                return False
            text = data[begin:stop]
            if not _is_text(text):
                return False
            texts += SEAM + text
            at, pieces = end, pieces + 1
        said = self._said
        if said is not None:
            if len(said) + len(texts) > self._longest:
                return False
            said += texts
        self._write(data)
        self.settle()
        self._meter.content_left(pieces)
        self.last = self._meter.last
        return True


def _is_text(text: bytes) -> bool:
    if _TEXT(text) is None:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _size_line(length: int) -> bytes:
    """The size line of a chunk that is so long with its framing; of no chunk, where there is none of that length."""
    for digits in range(1, 9):
        size = length - digits - 4
        if size > 0 and len(f"{size:x}") == digits:
            return b"%x\r\n" % size
    return b"\r\n"


_USUAL = 1024
_SIZE_LINES = tuple(map(_size_line, range(_USUAL)))
"""Made at start: what a cache took during a burst would stand in the way of giving the burst's memory back."""
