"""Stands in for a connection as its transport's protocol, while what comes is of one kind."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.gateway.upstream.connection import Connection


class Shortcut(asyncio.Protocol):
    """Takes data that begins where a chunk does. What it does not know goes to the connection, which takes over.

    The transport calls it directly: a call in between would cost a fifth of what a token does.
    """

    __slots__ = ("connection",)

    connection: "Connection"

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.connection_lost(exc)
