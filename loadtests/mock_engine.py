"""An engine for benchmarks: answers at once, streams tokens at a fixed pace, and costs next to nothing itself.

    python -m loadtests.mock_engine --ports 9600 9601 9602 --tokens 64 --pace 0.01

It answers like vLLM: a role chunk, numbered content chunks, usage where it was asked for, `[DONE]`. Each port is one
endpoint. Plain epoll: an event loop with protocols would be the bottleneck of what it is to measure.
"""

import argparse
import contextlib
import json
import select
import socket
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from time import monotonic
from typing import NamedTuple

from loadtests.wire import LAST_CHUNK, MODEL, NO_TAG, ROLE, STREAMED, USAGE_WANTED, USER, WHOLE, Script, chunk

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
WHOLE_ANSWER = ANSWER % (len(WHOLE), WHOLE)
NO_LENGTH = b"HTTP/1.1 411 Length Required\r\ncontent-length: 0\r\n\r\n"
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LENGTH = b"\r\ncontent-length: "
READ = select.EPOLLIN | select.EPOLLET
"""Edge-triggered: whoever reads takes all there is."""
PIECE = 8192
"""Bytes of one read; most requests are shorter."""


@dataclass(slots=True)
class Counts:
    """Of inference, not of health checks."""

    connections: int = 0
    requests: int = 0
    left: int = 0
    """Streams whose client went before the end."""


class Frame(NamedTuple):
    """What is sent at once: two halves, and the stream's tag between them."""

    before: bytes
    after: bytes


class Connection:
    """One client. `answering` is the stream it waits for."""

    __slots__ = ("answering", "begun", "close", "number", "receive", "send", "served")

    def __init__(self, accepted: socket.socket) -> None:
        self.number = accepted.fileno()
        self.receive, self.send, self.close = accepted.recv, accepted.send, accepted.close
        self.begun = b""  # of a request that has not all come
        self.served = False
        self.answering: Stream | None = None


class Stream:
    __slots__ = ("connection", "due", "sent", "tag", "usage")

    def __init__(self, connection: Connection, tag: bytes, usage: bool, due: float) -> None:
        self.connection, self.tag, self.usage, self.due = connection, tag, usage, due
        self.sent = 0


class MockEngine:
    """Tokens come `pace` seconds apart; the first one at once, so that TTFT shows what lies in between.

    With `late`, the first one too takes a pace, the role comes with it, and the reason to stop with the last: as from a
    real engine. `pace` may be changed while there is no stream.
    """

    def __init__(self, ports: list[int], tokens: int, pace: float, *, late: bool = False) -> None:
        script = Script(tokens)
        self._tokens, self.pace, self._late = tokens, pace, late
        self._role = _frame(chunk(ROLE) if late else STREAM_HEAD + chunk(ROLE))
        self._frames = [_frame(chunk(script.token(number))) for number in range(tokens)]
        self._ends = {usage: chunk(script.end(usage)) + LAST_CHUNK for usage in (False, True)}
        self._repeated = b"none yet"
        self._poll = select.epoll()
        self._listening = {made.fileno(): made for made in map(_listen, ports)}
        self._connections: dict[int, Connection] = {}
        # The pace is one for all, so who was served last is due last: a queue, and one timer.
        self._streams: deque[Stream] = deque()
        self.counts = Counts()
        for number in self._listening:
            self._poll.register(number, select.EPOLLIN)

    def run(self) -> None:
        streams = self._streams
        while True:
            self.step(max(0.0, streams[0].due - monotonic()) if streams else -1)

    def step(self, wait: float = 0) -> None:
        """Whatever is due, after at most so many seconds without any; none at all with -1."""
        streams = self._streams
        self._serve(self._poll.poll(wait))
        if streams:
            now = monotonic()
            while streams and streams[0].due <= now:
                self._next(streams.popleft())

    def close(self) -> None:
        for connection in list(self._connections.values()):
            self._close(connection)
        for listening in self._listening.values():
            listening.close()
        self._poll.close()

    def _serve(self, ready: list[tuple[int, int]]) -> None:
        """The hot loop: a request whose body is the last one's again, whole and alone, is not parsed."""
        connections, repeated = self._connections, self._repeated
        for number, _ in ready:
            connection = connections.get(number)
            if connection is None:
                self._accept(self._listening[number])
                continue
            try:
                data = connection.receive(PIECE)
                if data.endswith(repeated) and connection.served and not connection.begun:
                    self.counts.requests += 1
                    connection.send(WHOLE_ANSWER)
                else:
                    self._read(connection, data if len(data) < PIECE else data + _rest(connection))
            except BlockingIOError:
                pass  # the read before took what this edge announced
            except ConnectionError:
                self._close(connection)

    def _accept(self, listening: socket.socket) -> None:
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connections[accepted.fileno()] = Connection(accepted)
        self._poll.register(accepted.fileno(), READ)

    def _read(self, connection: Connection, data: bytes) -> None:
        if not data:
            self._close(connection)
            return
        data = connection.begun + data
        connection.begun = b""
        end = data.find(b"\r\n\r\n") + 4
        head = data[:end].lower()
        at = head.find(LENGTH)
        length = int(head[at + len(LENGTH) : head.find(b"\r", at + 2)]) if at >= 0 else 0
        if end < 4 or len(data) < end + length:
            connection.begun = data
        elif head.startswith(b"get "):
            self._send(connection, self._get(head))
            if b"\r\nconnection: close\r" in head:
                self._close(connection)
        elif not length:
            self._send(connection, NO_LENGTH)
        else:
            self._infer(connection, data[end - 4 :])

    def _get(self, head: bytes) -> bytes:
        """Health checks; `/stats`: what was counted; `/v1/models`, for a load that asks what there is."""
        known = {b"get /stats": asdict(self.counts), b"get /v1/models": {"data": [{"id": MODEL, "task": "chat"}]}}
        data = json.dumps(known.get(head[: head.find(b" http/")], {})).encode()
        return ANSWER % (len(data), data)

    def _infer(self, connection: Connection, body: bytes) -> None:
        self.counts.requests += 1
        self.counts.connections += not connection.served
        connection.served = True
        compact = body.replace(b" ", b"")
        if STREAMED not in compact:
            self._repeated = body
            self._send(connection, WHOLE_ANSWER)
            return
        at = compact.find(USER) + len(USER)
        tag = compact[at : at + len(NO_TAG)] if at >= len(USER) else NO_TAG
        stream = Stream(connection, tag, USAGE_WANTED in compact, monotonic())
        connection.answering = stream
        if self._late:
            stream.due += self.pace
            self._streams.append(stream)
            self._send(connection, STREAM_HEAD)
        else:
            self._send(connection, self._role.before + tag + self._role.after)
            self._next(stream)  # a second write, as of an engine whose first token comes after its headers

    def _next(self, stream: Stream) -> None:
        connection, sent = stream.connection, stream.sent
        if connection.answering is not stream:
            return  # its client left
        if sent == self._tokens:
            self._finish(stream, b"")
            return
        frame = self._frames[sent]
        data = frame.before + stream.tag + frame.after
        stream.sent = sent + 1
        if self._late and not sent:
            data = self._role.before + stream.tag + self._role.after + data
        if self._late and stream.sent == self._tokens:
            self._finish(stream, data)
            return
        stream.due += self.pace
        self._streams.append(stream)
        self._send(connection, data)

    def _finish(self, stream: Stream, data: bytes) -> None:
        """Send the end, after this."""
        stream.connection.answering = None
        self._send(stream.connection, data + self._ends[stream.usage].replace(NO_TAG, stream.tag))

    def _send(self, connection: Connection, data: bytes) -> None:
        """What does not fit into the socket's buffer is a client that does not read: it is cut off, and sees it."""
        try:
            if connection.send(data) == len(data):
                return
        except (BlockingIOError, ConnectionError):
            pass
        self._close(connection)

    def _close(self, connection: Connection) -> None:
        if self._connections.pop(connection.number, None) is connection:
            self.counts.left += connection.answering is not None
            connection.answering = None
            connection.close()


@contextlib.contextmanager
def served(engine: MockEngine) -> Iterator[threading.Lock]:
    """A thread serves the engine; whoever holds the lock calls `step` in its place."""
    held, stopped = threading.Lock(), threading.Event()

    def serve() -> None:
        while not stopped.wait(0.001):  # between two steps the lock is free for a moment
            with held:
                engine.step(0.02)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield held
    finally:
        stopped.set()
        thread.join()
        engine.close()


def _rest(connection: Connection) -> bytes:
    """What is there beyond a whole piece."""
    parts = []
    with contextlib.suppress(BlockingIOError):
        while data := connection.receive(PIECE):
            parts.append(data)
    return b"".join(parts)


def _frame(data: bytes) -> Frame:
    before, _, after = data.partition(NO_TAG)
    return Frame(before, after)


def _listen(port: int) -> socket.socket:
    listening = socket.create_server(("127.0.0.1", port), backlog=2048)
    listening.setblocking(False)
    return listening


def main() -> None:
    parser = argparse.ArgumentParser(description="A mock engine for benchmarks.")
    parser.add_argument("--ports", type=int, nargs="+", default=[9600], help="one endpoint each")
    parser.add_argument("--tokens", type=int, default=64, help="content chunks of one stream")
    parser.add_argument("--pace", type=float, default=0.01, help="seconds between two chunks")
    parser.add_argument("--late", action="store_true", help="the first chunk, too, takes a pace")
    arguments = parser.parse_args()
    MockEngine(arguments.ports, arguments.tokens, arguments.pace, late=arguments.late).run()


if __name__ == "__main__":
    main()
