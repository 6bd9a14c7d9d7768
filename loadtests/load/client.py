"""Kept-alive connections to one server, for thousands of answers at once in one process.

Bytes are read by the event loop's own callback, not by a greenlet that would be woken for each token: a greenlet waits
once for its whole answer. At 25,000 tokens a second that is the difference between a quarter of a core and all of it.
"""

import os
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.event import Event

from loadtests.load.answer import BrokenAnswer, Parser, Reply
from loadtests.wire import request

READ = 1
"""libev's name for it."""
PIECE = 65536


class Connection:
    """A request at a time. `error` is why the last one broke off."""

    def __init__(self, family: int, address: Any) -> None:
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.connect(address)
        except BaseException:
            self._socket.close()
            raise
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._number = self._socket.fileno()
        self._watcher = gevent.get_hub().loop.io(self._number, READ)
        self._parser: Parser | None = None
        self._over = Event()
        self.error = ""

    def ask(self, data: bytes, parser: Parser) -> None:
        """Send, and wait until the answer is complete or broke off."""
        self._parser, self.error = parser, ""
        self._over.clear()
        self._watcher.start(self._readable)
        try:
            self._socket.sendall(data)
            self._over.wait()
        except OSError as error:
            self.error = _named(error)
        finally:
            self._watcher.stop()

    def _readable(self) -> None:
        """Runs in the event loop: it must not wait, and must not raise."""
        assert self._parser is not None
        try:
            data = os.read(self._number, PIECE)
            if not data:
                raise BrokenAnswer("closed")
            if self._parser.feed(data, perf_counter()):
                self._over.set()
        except BlockingIOError:
            pass
        except (BrokenAnswer, OSError, ValueError) as error:
            self.error = _named(error)
            self._over.set()

    def close(self) -> None:
        self._watcher.close()
        self._socket.close()


class Client:
    """Raises ValueError for an address that is not `http://host[:port]`."""

    def __init__(self, url: str, key: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url}: give http://host:port; TLS is not spoken here, test behind what terminates it")
        self._name, self._key, self._timeout = parts.netloc.rpartition("@")[2], key, timeout
        try:  # once: to look the name up for each connection would hold every clock up
            found = socket.getaddrinfo(parts.hostname, parts.port or 80, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ValueError(f"{url}: {error.strerror}") from None
        self._family, self._address = found[0][0], found[0][4]
        self._idle: list[Connection] = []

    def post(self, path: str, body: dict[str, object], reply: Reply, *, keep: bool = False) -> None:
        """Fill in the reply, to its end; with `keep`, a stream's text too. Never raises for the server's part.

        A greenlet that is killed while it waits leaves nothing behind: the server sees it leave.
        """
        data = request(body, path, self._key, self._name)
        fresh = not self._idle
        parser = self._ask(data, reply, keep=keep)
        if reply.error and not fresh and not reply.status:
            reply.error = ""  # an idle connection that the server had closed: nothing was asked yet
            parser = self._ask(data, reply, keep=keep, fresh=True)
        reply.ended = perf_counter()
        if not reply.error:
            parser.judge()

    def _ask(self, data: bytes, reply: Reply, *, keep: bool, fresh: bool = False) -> Parser:
        parser = Parser(reply, keep=keep)
        connection: Connection | None = None
        kept = False
        try:
            with gevent.Timeout(self._timeout):
                connection = Connection(self._family, self._address) if fresh or not self._idle else self._idle.pop()
                connection.ask(data, parser)
            reply.error = connection.error
            kept = not (connection.error or parser.close)
        except gevent.Timeout:
            reply.error = "timeout"
        except OSError as error:
            reply.error = _named(error)
        finally:
            if connection is not None:
                self._idle.append(connection) if kept else connection.close()
        return parser

    def close(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()


def _named(error: Exception) -> str:
    """Without what differs from one to the next: it becomes a row of a table."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
