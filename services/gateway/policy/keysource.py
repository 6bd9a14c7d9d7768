"""Where the keys come from: the key file, if there is one, and the keys that stand beside it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from services.gateway.filestamp import stamp
from services.gateway.policy.authenticate import Authenticator
from services.gateway.policy.keyfile import Key, KeyFile, KeyFileError, load_keys
from services.gateway.policy.keyring import Keyring

POLL = 0.25
"""Seconds between two looks at the key file: a key that was revoked is refused well within one."""


class KeySource:
    def __init__(self, path: Path | None, beside: Sequence[Key] = ()) -> None:
        """Raises KeyFileError."""
        self.path = path
        self.stamp = stamp(path)
        self._beside = tuple(beside)
        self._one_at_a_time = asyncio.Lock()
        self.authenticator = Authenticator(self._read())

    @property
    def writable(self) -> Path:
        """The file that keys are added to. Raises KeyFileError."""
        if self.path is None:
            raise KeyFileError("there is no key file to change: set NARU_GATEWAY__KEYS__FILE")
        return self.path

    async def reread(self) -> dict[str, object]:
        """Take the file over; what there is to say of it. Raises KeyFileError: then nothing has changed."""
        async with self._one_at_a_time:  # what was read last is what counts
            # In a thread: a file of thousands of keys takes a while to read.
            keyring = await asyncio.to_thread(self._read)
            self.authenticator.use(keyring)
        return {"keys": len(keyring.keys)}

    def _read(self) -> Keyring:
        file = KeyFile() if self.path is None else load_keys(self.path)
        return Keyring((*self._beside, *file.keys), file.tenants)
