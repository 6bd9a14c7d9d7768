"""Load of streamed answers: so many at once, each compared byte for byte with the one right answer."""

import contextlib
import heapq
import random
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

from loadtests.whole import OK, SILENCE, Step, connect
from loadtests.wire import CONTENT, LAST_CHUNK, NO_TAG, BrokenAnswer, Script, stream_request, unchunked

THINK = 0.02
"""Seconds a client waits at most before its next stream: clients in step would measure their own queue."""


@dataclass(frozen=True, slots=True)
class Shape:
    streams: int
    tokens: int
    pace: float
    """Seconds between two tokens of one stream."""

    @property
    def duration(self) -> float:
        """Seconds of one stream."""
        return self.tokens * self.pace


@dataclass(slots=True)
class Streamed:
    """What the measured time held; answers are counted and checked outside of it, too."""

    answers: int = 0
    tokens: int = 0
    ttft: list[float] = field(default_factory=list)
    """Seconds from the request's last byte to the first content."""


class _Client:
    __slots__ = ("asked", "first", "parts", "receive", "send", "tag", "tail")

    def __init__(self, connection: socket.socket) -> None:
        self.receive, self.send = connection.recv, connection.send
        self.parts: list[bytes] = []
        self.tag = self.tail = b""
        self.asked = self.first = 0.0


def load(  # noqa: PLR0913 - what is rarely wanted is named where it is
    port: int,
    shape: Shape,
    seconds: float,
    *,
    clock: Callable[[], object] = perf_counter,
    alongside: Step | None = None,
    look: Callable[[bytes], object] | None = None,
) -> Streamed:
    """`shape.streams` clients that each begin a stream as soon as the last one ended, for so many seconds.

    The streams are spread over one stream's duration; `clock` is called where the measured time, in which all of them
    run, begins and ends. With `alongside`, this thread never sleeps, and calls it between two looks. `look`
    gets every answer, head and all, once it was compared. Raises BrokenAnswer.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(port)) for _ in range(shape.streams)]
        running = _Load(sockets, shape, alongside, look)
        now = perf_counter()
        running.run(until=now + shape.duration)
        measured = running.found = Streamed()
        clock()
        running.run(until=perf_counter() + seconds)
        clock()
        running.found = Streamed()  # what still comes is checked, and not measured
        running.run_out()
        measured.answers = running.answers
        return measured


class _Load:
    def __init__(
        self, sockets: list[socket.socket], shape: Shape, alongside: Step | None, look: Callable[[bytes], object] | None
    ) -> None:
        self.found, self.answers, self._alongside, self._look = Streamed(), 0, alongside, look
        self._poll = select.epoll()
        self._clients = {each.fileno(): _Client(each) for each in sockets}
        self._right, self._request = Script(shape.tokens).answer(NO_TAG), stream_request()
        now, apart = perf_counter(), shape.duration / len(sockets)
        self._next = [(now + i * apart, number) for i, number in enumerate(self._clients)]  # a heap
        self._random, self._asked, self._open, self._heard = random.Random(4), 0, 0, now
        for each in sockets:
            each.setblocking(False)
            self._poll.register(each.fileno(), select.EPOLLIN)

    def run(self, until: float) -> None:
        while (now := perf_counter()) < until:
            while self._next and self._next[0][0] <= now:
                self._ask(self._clients[heapq.heappop(self._next)[1]])
            self._round(min(until, self._next[0][0] if self._next else until) - now)

    def run_out(self) -> None:
        """Begins nothing; ends with the last stream."""
        while self._open:
            self._round(SILENCE)

    def _ask(self, client: _Client) -> None:
        self._asked += 1
        self._open += 1
        client.tag = b"%08d" % self._asked
        client.first = 0.0
        client.send(self._request.replace(NO_TAG, client.tag))
        client.asked = perf_counter()

    def _round(self, wait: float) -> None:
        clients, found, now = self._clients, self.found, perf_counter()
        if self._alongside:
            self._alongside()
            wait = 0.0
        ready = self._poll.poll(max(0.0, wait))
        if ready:
            self._heard = now
        elif self._open and now - self._heard > SILENCE:
            raise BrokenAnswer(f"silence for {SILENCE:.0f} s")
        for number, _ in ready:
            client = clients[number]
            data = client.receive(65536)
            tokens = data.count(CONTENT)
            found.tokens += tokens
            if tokens and not client.first:
                client.first = perf_counter()
                found.ttft.append(client.first - client.asked)
            client.parts.append(data)
            client.tail = data if len(data) >= len(LAST_CHUNK) else client.tail + data
            if client.tail.endswith(LAST_CHUNK):
                self._finish(number, client)
            elif not data or not client.parts[0].startswith(OK):
                raise BrokenAnswer(f"after {len(client.parts)} reads: {b''.join(client.parts)[-300:]!r}")

    def _finish(self, number: int, client: _Client) -> None:
        self._open -= 1
        self.answers += 1
        answer = b"".join(client.parts)
        check(answer, self._right.replace(NO_TAG, client.tag))
        if self._look:
            self._look(answer)
        client.parts, client.tail = [], b""
        heapq.heappush(self._next, (perf_counter() + self._random.uniform(0, THINK), number))


def check(answer: bytes, right: bytes) -> None:
    """Raises BrokenAnswer unless the answer's body is the right one, byte for byte."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(OK):
        raise BrokenAnswer(repr(answer[:300]))
    got = unchunked(body)
    if got != right:
        at = next((i for i, pair in enumerate(zip(got, right, strict=False)) if pair[0] != pair[1]), len(got))
        raise BrokenAnswer(f"{len(got)} bytes for {len(right)}, unlike from {at}: {got[at : at + 200]!r}")
