"""What a request says of where it wants to run."""

from collections.abc import Iterable
from dataclasses import dataclass

VERSION_HEADER = b"x-naru-version"
"""Names the version that must answer."""
SESSION_HEADER = b"x-naru-session"
"""Requests of one session go to one endpoint, as long as it is there and not overloaded."""


@dataclass(frozen=True, slots=True)
class Hints:
    version: str | None = None
    """This version and no other. It must be one of the model's: `ModelPool.check` says."""
    session: str | None = None
    """Whatever the client calls its session."""
    body: bytes = b""
    """The request's body, where prompts that begin alike are worth sending to one endpoint."""
    prompt: bytes = b""
    """The JSON name, quotes included, at which the prompt begins in `body`."""

    def about(self, body: bytes, prompt: bytes) -> "Hints":
        return Hints(self.version, self.session, body, prompt)


ANYWHERE = Hints()
HINT_HEADERS = frozenset({VERSION_HEADER, SESSION_HEADER})


def read_hints(headers: Iterable[tuple[bytes, bytes]]) -> Hints:
    """What a client's headers (gRPC: metadata) say; names in lower case. An empty value says nothing."""
    said = {name: value.decode("latin-1") for name, value in headers if name in HINT_HEADERS}
    if not said:
        return ANYWHERE
    return Hints(said.get(VERSION_HEADER) or None, said.get(SESSION_HEADER) or None)
