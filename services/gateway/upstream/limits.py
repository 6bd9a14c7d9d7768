"""How long each stage of an exchange with an endpoint may take."""

from dataclasses import dataclass, replace
from functools import cached_property


@dataclass(frozen=True)
class Limits:
    """Seconds: to connect, to the first content, between two pieces, and over all."""

    connect: float
    first_byte: float
    idle: float
    total: float
    keep_alive: float

    @cached_property
    def unstreamed(self) -> "Limits":
        """An answer that comes in one piece is silent until it is complete: only the total bounds it."""
        return replace(self, first_byte=self.total, idle=self.total)

    @cached_property
    def pace(self) -> float:
        """Seconds between two looks at the clock."""
        return min(1.0, max(0.01, min(self.first_byte, self.idle, self.total) / 8))
