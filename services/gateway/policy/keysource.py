"""Where the keys come from: the key file, read again whenever it changes."""

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

from services.common.logs import log
from services.gateway.policy.authenticate import Authenticator
from services.gateway.policy.keyfile import Key, KeyFile, KeyFileError, load_keys
from services.gateway.policy.keyring import Keyring

logger = logging.getLogger("naru.keys")

POLL = 0.25
"""Seconds between two looks at the key file: a key that was revoked is refused well within one."""


class KeySource:
    """The key file, if there is one, and the keys that stand beside it."""

    def __init__(self, path: Path | None, beside: Sequence[Key] = ()) -> None:
        """Raises KeyFileError."""
        self.path = path
        self._beside = tuple(beside)
        self._seen = self._stamp()
        self.authenticator = Authenticator(self._read())

    async def watch(self) -> None:
        """Take the file's changes over, for ever."""
        while self.path is not None:
            await asyncio.sleep(POLL)
            await self.reread()

    async def reread(self) -> None:
        """Take the file over if it has changed. One that can't be used is refused, and the old keys stay."""
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            # In a thread: a file of thousands of keys takes a while to read.
            keyring = await asyncio.to_thread(self._read)
        except KeyFileError as error:
            log(logger, logging.ERROR, "key file refused, the keys stay as they were", reason=str(error))
            return
        self.authenticator.use(keyring)
        log(logger, logging.INFO, "keys reloaded", keys=len(keyring.keys))

    def _read(self) -> Keyring:
        file = KeyFile() if self.path is None else load_keys(self.path)
        return Keyring((*self._beside, *file.keys), file.tenants)

    def _stamp(self) -> tuple[int, ...]:
        """Different once the file is: mtime in ns, size, inode; empty where there is none."""
        if self.path is None:
            return ()
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_mtime_ns, found.st_size, found.st_ino
