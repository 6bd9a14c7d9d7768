"""The gateway's two ports as uvicorn servers that leave signals to the composition root."""

import contextlib
from collections.abc import Iterator

import uvicorn


class Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """One place decides what SIGTERM means for both ports: `__main__`."""
        yield
