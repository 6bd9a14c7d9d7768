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
from services.gateway.relay.migration import Transcript
from services.gateway.upstream.exchange import Exchange

_TEXT = re.compile(rb'[^"\\\x00-\x1f]+').fullmatch
"""The inside of a JSON string without escapes (RFC 8259, 7), which holds no line end either."""
_SAMPLE = "no model says this: where it stands, text stands"


class Lane:
    """`take` is for what an endpoint's connection brings, as long as it is alike."""

    __slots__ = ("_exchange", "_gap", "_meter", "_prefix", "_tail", "_transcript", "_write")

    def __init__(
        self, exchange: Exchange, write: Callable[[bytes], object], meter: Meter, gap: Callable[[float], None],
        transcript: Transcript | None,
    ) -> None:  # fmt: skip
        """`write` takes whole chunks, framing included; `gap` takes the seconds between two contents."""
        self._exchange, self._write, self._meter, self._gap = exchange, write, meter, gap
        self._transcript = transcript
        self._prefix = self._tail = b""

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
        return True

    def take(self, data: bytes) -> bool:
        """Whether it took the data, which begins where a chunk does: whole chunks of some further text each."""
        prefix, tail, size = self._prefix, self._tail, len(data)
        line = _SIZE_LINES[size] if size < _USUAL else _size_line(size)
        if not (data.startswith(line) and data.startswith(prefix, len(line)) and data.endswith(tail)):
            return self._take_several(data)
        begin, end = len(line) + len(prefix), size - len(tail)
        if _TEXT(data, begin, end) is None:
            return False
        return self._pass_on(data, data[begin - 1 : end], 1)  # with the quote before it: see `Transcript.said`

    def _take_several(self, data: bytes) -> bool:
        """Chunks that came at once, as they do when there is much to do."""
        prefix, tail, texts = self._prefix, self._tail, []
        at, size = 0, len(data)
        while at < size:
            stop = data.find(tail, at)
            if stop < 0:
                return False
            end = stop + len(tail)
            line = _SIZE_LINES[end - at] if end - at < _USUAL else _size_line(end - at)
            begin = at + len(line) + len(prefix)
            if not (data.startswith(line, at) and data.startswith(prefix, at + len(line))):
                return False
            if _TEXT(data, begin, stop) is None:
                return False
            texts.append(data[begin - 1 : stop])
            at = end
        return self._pass_on(data, b"".join(texts), len(texts))

    def _pass_on(self, data: bytes, text: bytes, pieces: int) -> bool:
        if not (data.isascii() or _is_utf8(data)):
            return False
        transcript = self._transcript
        if transcript is not None and transcript.plain:
            if len(transcript.said) + len(text) > transcript.longest:
                return False
            transcript.said += text
        self._write(data)
        self._exchange.heard = perf_counter()
        self._meter.content_left(self._gap, pieces)
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


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
