"""What a request says of when it wants to be answered."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from services.common.errors import InvalidField
from services.gateway.registry import Priority

PRIORITY_HEADER = b"x-naru-priority"
"""A class; it can only be less urgent than the key's, or else the model's role, allows."""
TIMEOUT_HEADER = b"x-naru-timeout"
"""Seconds after which the answer is of no use."""
URGENCY_HEADERS = frozenset({PRIORITY_HEADER, TIMEOUT_HEADER})
_CLASSES = tuple(Priority)


@dataclass(frozen=True, slots=True)
class Urgency:
    priority: str | None = None
    timeout: str | None = None

    def lowered(self, allowed: Priority) -> Priority:
        """Raises InvalidField."""
        if self.priority is None:
            return allowed
        if self.priority not in _CLASSES:
            raise InvalidField(f"x-naru-priority is one of {', '.join(_CLASSES)}", param="x-naru-priority")
        return max(allowed, Priority(self.priority), key=_CLASSES.index)

    def due(self, received: float) -> float | None:
        """On the clock of `received`. Raises InvalidField."""
        if self.timeout is None:
            return None
        try:
            seconds = float(self.timeout)
        except ValueError:
            seconds = 0.0
        if not (isfinite(seconds) and seconds > 0):
            raise InvalidField("x-naru-timeout is a number of seconds above 0", param="x-naru-timeout")
        return received + seconds


ORDINARY = Urgency()


def read_urgency(headers: Iterable[tuple[bytes, bytes]]) -> Urgency:
    """Of a client's headers (gRPC: metadata), names in lower case."""
    said = {name: value.decode("latin-1").strip() for name, value in headers if name in URGENCY_HEADERS}
    if not said:
        return ORDINARY
    return Urgency(said.get(PRIORITY_HEADER), said.get(TIMEOUT_HEADER))
