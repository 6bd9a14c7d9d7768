"""Looks at an admin port, and keeps as many looks as the window is long."""

from collections import deque
from time import monotonic
from types import TracebackType
from typing import Self

import httpx

from services.local.top.figures import Figures, Look, figures
from services.local.top.samples import parse


class WatchError(RuntimeError):
    """Nothing can be seen; the message says what to do."""


class Watch:
    def __init__(self, url: str, window: float) -> None:
        """`url`: of the admin port; figures are of the last `window` seconds."""
        self.url, self.window = url.rstrip("/"), window
        self._client = httpx.Client(timeout=5, trust_env=False)
        self._looks: deque[Look] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def look(self) -> Figures:
        """What was done since the look that is about a window old, or since the first. Raises WatchError."""
        new = self._ask()
        if self._looks and self._looks[-1].began != new.began:
            self._looks.clear()  # another process: its counters began at 0
        self._looks.append(new)
        while len(self._looks) > 2 and self._looks[1].at <= new.at - self.window:
            self._looks.popleft()
        return figures(self._looks[0], new)

    def _ask(self) -> Look:
        try:
            page, ready = self._client.get(f"{self.url}/metrics"), self._client.get(f"{self.url}/readyz")
            state = ready.json()
            return Look(monotonic(), parse(page.raise_for_status().text), state["models"], not state["ready"])
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise WatchError(f"{self.url} does not answer: start the stack with 'naru up', or see --url") from error
        except (ValueError, LookupError, TypeError) as error:
            raise WatchError(f"{self.url} is no admin port of a gateway: see --url") from error
