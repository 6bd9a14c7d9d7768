"""Load of answers that are not streamed: how many a second, and how long one takes.

Plain epoll and precomputed requests: the load shares a core with the mock engine, and must not be the bottleneck.
"""

import contextlib
import math
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from loadtests.wire import WHOLE, BrokenAnswer, whole_request

Step = Callable[[], None]
"""What a load does between two looks at its sockets: the mock engine's work, where both share a thread."""
REQUEST = whole_request()
OK = b"HTTP/1.1 200 "
END = b"\r\n\r\n" + WHOLE
"""How a right answer ends: the headers' end, and then the whole body and nothing else."""
SILENCE = 10.0
"""Seconds without any answer after which the target counts as dead."""


@dataclass(frozen=True, slots=True)
class Rate:
    requests: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


def connect(port: int) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def is_whole(answer: bytes) -> bool:
    """False where more is to come. Raises BrokenAnswer."""
    if answer.endswith(END) and answer.startswith(OK):
        return True
    if not OK.startswith(answer[: len(OK)]) or len(answer) > 4096 + len(END):
        raise BrokenAnswer(repr(answer[:300]))
    return False


def saturate(  # noqa: PLR0913 - what a load is
    port: int, connections: int, *, seconds: float = math.inf, requests: float = math.inf,
    alongside: Step | None = None, request: bytes = REQUEST,
) -> Rate:  # fmt: skip
    """`connections` clients that each ask again as soon as they are answered, for so long or so many requests.

    With `alongside`, this thread never sleeps, and calls it between two looks. Raises BrokenAnswer.
    """
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(connect(port)) for _ in range(connections)]
        return _Saturation(sockets, alongside, request).run(seconds, requests)


class _Saturation:
    def __init__(self, sockets: list[socket.socket], alongside: Step | None, request: bytes) -> None:
        self._request = request
        self._poll, self._alongside, self._heard = select.epoll(), alongside, perf_counter()
        self._receive = {each.fileno(): each.recv for each in sockets}
        self._send = {each.fileno(): each.send for each in sockets}
        self._begun = dict.fromkeys(self._send, b"")
        for each in sockets:
            each.setblocking(False)
            self._poll.register(each.fileno(), select.EPOLLIN | select.EPOLLET)

    def run(self, seconds: float, requests: float) -> Rate:
        waiting, done, began = len(self._send), 0, perf_counter()
        for send in self._send.values():
            send(self._request)
        while done + waiting < requests and perf_counter() - began < seconds:
            done += self._round(self._request)
        while waiting:
            answered = self._round(b"")
            done, waiting = done + answered, waiting - answered
        return Rate(done, perf_counter() - began)

    def _round(self, request: bytes) -> int:
        """The hot loop: how many were answered, and have asked again."""
        receive, send, done = self._receive, self._send, 0
        ready = self._ready()
        for number, _ in ready:
            try:
                data = receive[number](4096)
            except BlockingIOError:
                continue  # the read before took what this edge announced
            if (data.endswith(END) and data.startswith(OK)) or self._is_whole(number, data):
                done += 1
                if request:
                    send[number](request)
        return done

    def _ready(self) -> list[tuple[int, int]]:
        if self._alongside:
            self._alongside()
            ready = self._poll.poll(0)
        else:
            ready = self._poll.poll(1)
        now = perf_counter()
        if ready:
            self._heard = now
        elif now - self._heard > SILENCE:
            raise BrokenAnswer(f"silence for {SILENCE:.0f} s")
        return ready

    def _is_whole(self, number: int, data: bytes) -> bool:
        if not data:
            raise BrokenAnswer("closed before the answer was whole")
        self._begun[number] += data
        if not is_whole(self._begun[number]):
            return False
        self._begun[number] = b""
        return True


def latencies(port: int, seconds: float, alongside: Step) -> list[float]:
    """Seconds of each answer on one connection, one after the other. Raises BrokenAnswer."""
    found, until = [], perf_counter() + seconds
    with connect(port) as connection:
        connection.setblocking(False)
        while (asked := perf_counter()) < until:
            connection.send(REQUEST)
            _answer(connection, asked + SILENCE, alongside)
            found.append(perf_counter() - asked)
    return found


def _answer(connection: socket.socket, deadline: float, alongside: Step) -> None:
    answer = b""
    while not is_whole(answer):
        alongside()
        try:
            data = connection.recv(4096)
        except BlockingIOError:
            if perf_counter() > deadline:
                raise BrokenAnswer(f"silence for {SILENCE:.0f} s") from None
            continue
        if not data:
            raise BrokenAnswer("closed before the answer was whole")
        answer += data
