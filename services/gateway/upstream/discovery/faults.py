"""What goes wrong between the gateway and an API server."""

from dataclasses import dataclass

GONE = 410
"""The resource version is too old to watch from: everything is to be read anew."""


@dataclass
class ClusterFault(Exception):
    """`kind` is a bounded word: a status, or `timeout`, `network`, `garbage`, `configuration`."""

    kind: str
    message: str
    retry_after: float = 0.0
    """Seconds that the server asks for."""

    @property
    def expired(self) -> bool:
        return self.kind == str(GONE)
