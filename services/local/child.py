"""One service's process: started in a group of its own, its output followed line by line, stopped for certain."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from services.local.state import kill_group

LAST_LINES = 15
POLL = 0.05
PYTHON = {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": ""}
"""Lines as they come; and bytecode kept, without which every start compiles some 20 s of imports anew."""
LONGEST_LINE = 2**20
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    """In the child: should the supervisor be killed outright, the service gets SIGTERM (prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    def __init__(self, process: asyncio.subprocess.Process, say: Callable[[str], None]) -> None:
        self._process = process
        self.last: deque[str] = deque(maxlen=LAST_LINES)
        self._following = asyncio.create_task(self._follow(say))

    @classmethod
    async def start(cls, command: Sequence[str], variables: Mapping[str, str], say: Callable[[str], None]) -> "Child":
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **PYTHON, **variables}, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, limit=LONGEST_LINE,
            start_new_session=True, preexec_fn=_die_with_parent,
        )  # fmt: skip
        return cls(process, say)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def _follow(self, say: Callable[[str], None]) -> None:
        assert self._process.stdout is not None
        while True:
            try:
                line = await self._process.stdout.readline()
            except ValueError:  # longer than the limit: the reader has dropped it
                continue
            if not line:
                return
            text = line.decode("utf-8", "replace").rstrip()
            self.last.append(text)
            say(text)

    async def wait(self) -> int:
        """The exit code, negative for a signal; whatever the service started is gone with it."""
        code = await self._ended()
        kill_group(self.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._following, 2)
        return code

    async def _ended(self) -> int:
        # asyncio's own wait() lasts until the pipe is closed, which a child of the dead service may still hold.
        while self._process.returncode is None:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(POLL)
        return self._process.returncode

    async def stop(self, grace: float) -> None:
        """SIGTERM, then, `grace` seconds later, SIGKILL to the whole group."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended(), grace)
        kill_group(self.pid, signal.SIGKILL)
        await self.wait()
