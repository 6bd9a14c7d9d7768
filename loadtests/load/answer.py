"""Reads an HTTP/1.1 answer as its bytes come, and clocks the content of a streamed one.

The hot loop of the whole generator: an event costs a few microseconds, because nothing of it is decoded. What is
content is told by bytes that can stand nowhere else: inside a JSON text a quotation mark has a backslash before it.
"""

import json
import re
from dataclasses import dataclass, field

CONTENT = re.compile(
    rb'"(?:content|reasoning_content|reasoning|refusal)": ?"(?!")|"tool_calls": ?\[(?! ?\])'
)  # fmt: skip
"""Text, reasoning or a tool call that is not empty: what the gateway's TTFT ends with."""
TOKENS = re.compile(rb'"completion_tokens": ?(\d+)')
END = b"\n\n"


class BrokenAnswer(Exception):
    """It did not come whole, or is no HTTP."""


@dataclass(slots=True)
class Reply:
    """One request's answer. Times of `time.perf_counter`."""

    began: float
    """When it was due (open loop) or sent (closed loop)."""
    status: int = 0
    first: float | None = None
    last: float | None = None
    """The first and the last content."""
    ended: float = 0.0
    gaps: list[float] = field(default_factory=list)
    """Seconds between two contents."""
    tokens: int | None = None
    """As the engine counted them."""
    length: int = 0
    """Bytes of the body."""
    error: str = ""
    """Why it is none: a status, what an error event said, or how it broke off."""
    said: list[bytes] = field(default_factory=list)
    """The events with content, where they are kept; the body, where it is no stream."""
    done: bool = False
    """A stream said that it is whole."""

    def hear(self, now: float) -> None:
        """Content came."""
        if self.last is None:
            self.first = now
        else:
            self.gaps.append(now - self.last)
        self.last = now

    @property
    def ttft(self) -> float | None:
        return None if self.first is None else self.first - self.began

    @property
    def tpot(self) -> float | None:
        """(last content - first content) / (output tokens - 1), MLPerf's definition and the gateway's."""
        if self.first is None or self.last is None or self.tokens is None or self.tokens < 2 or self.error:
            return None
        return (self.last - self.first) / (self.tokens - 1)

    @property
    def text(self) -> str:
        deltas = (json.loads(event.partition(b"data:")[2])["choices"][0]["delta"] for event in self.said)
        return "".join(delta.get("content") or "" for delta in deltas)


class Parser:
    """One answer. `feed` is given each piece of bytes with the time at which it was read."""

    __slots__ = ("_begun", "_chunked", "_events", "_head", "_keep", "_left", "_partial", "close", "reply")

    def __init__(self, reply: Reply, *, keep: bool = False) -> None:
        self.reply = reply
        self.close = False
        """The connection can't be used again."""
        self._keep, self._head, self._chunked, self._events = keep, True, False, False
        self._left = 0
        self._begun = b""  # of a head or a chunk that has not all come
        self._partial = b""  # of an event

    def feed(self, data: bytes, now: float) -> bool:
        """Whether the answer is complete. Raises BrokenAnswer."""
        if self._begun:
            data, self._begun = self._begun + data, b""
        if self._head:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._begun = data
                return False
            self._read_head(data[:end])
            data = data[end + 4 :]
        if self._chunked:
            return self._chunks(data, now)
        self._left -= len(data)
        self._take(data, now)
        return self._left <= 0

    def _read_head(self, head: bytes) -> None:
        line, *lines = head.lower().split(b"\r\n")
        if not line.startswith(b"http/1.1 "):
            raise BrokenAnswer("the answer is no HTTP/1.1")
        headers = dict(each.split(b": ", 1) for each in lines if b": " in each)
        self.reply.status = int(line[9:12])
        self._head = False
        self._chunked = headers.get(b"transfer-encoding") == b"chunked"
        self._events = headers.get(b"content-type", b"").startswith(b"text/event-stream")
        self._left = int(headers.get(b"content-length", b"0"))
        self.close = headers.get(b"connection") == b"close"

    def _chunks(self, data: bytes, now: float) -> bool:
        at, length = 0, len(data)
        while at < length:
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            try:
                size = int(data[at:line], 16)
            except ValueError:
                raise BrokenAnswer("a chunk has no size") from None
            begin, end = line + 2, line + 2 + size
            if end + 2 > length:
                break
            if not size:
                return True
            self._take(data[begin:end], now)
            at = end + 2
        self._begun = data[at:]
        return False

    def _take(self, piece: bytes, now: float) -> None:
        self.reply.length += len(piece)
        if not self._events:
            self.reply.said.append(piece)
            return
        if b"\r" in piece:
            piece = piece.replace(b"\r\n", b"\n")
        if self._partial:
            piece, self._partial = self._partial + piece, b""
        if piece.endswith(END) and piece.find(END) == len(piece) - 2:
            self._event(piece, now)
            return
        *events, self._partial = piece.split(END)
        for event in events:
            self._event(event, now)

    def _event(self, event: bytes, now: float) -> None:
        reply = self.reply
        content = CONTENT.search(event)
        if content:
            reply.hear(now)
            if self._keep:
                reply.said.append(event)
        if b'"completion_tokens"' in event and (counted := TOKENS.search(event)):
            reply.tokens = int(counted[1])
        elif not content:
            self._told(event)

    def _told(self, event: bytes) -> None:
        """What an event says that has neither content nor usage."""
        data = event.partition(b"data:")[2].strip()
        if data == b"[DONE]":
            self.reply.done = True
        elif data.startswith((b'{"error"', b'{"type":"error"')):
            self.reply.error = str(json.loads(data)["error"].get("code") or "error event")

    def judge(self) -> None:
        """Enter why a complete answer is none."""
        reply = self.reply
        if reply.status != 200:
            reply.error = f"{reply.status} {_code(b''.join(reply.said))}".strip()
        elif self._events and not reply.done:
            reply.error = reply.error or "truncated"


def _code(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"]["code"])
    except (ValueError, LookupError, TypeError):
        return ""
