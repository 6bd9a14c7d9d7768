"""How long each stage of an exchange with an endpoint may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to connect, to the first content, between two pieces, and over all."""

    connect: float
    first_byte: float
    idle: float
    total: float
    keep_alive: float

    def unstreamed(self) -> "Limits":
        """An answer that comes in one piece is silent until it is complete: only the total bounds it."""
        return Limits(self.connect, self.total, self.total, self.total, self.keep_alive)
