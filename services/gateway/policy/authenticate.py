"""Who is asking: API keys, held as SHA-256 digests only."""

import hashlib

from services.common.errors import Unauthenticated
from services.gateway.policy.keyring import Keyring, Principal

RECENT = 1000
"""Keys in use that are known without hashing them."""


class Authenticator:
    def __init__(self, keyring: Keyring) -> None:
        self.use(keyring)

    def use(self, keyring: Keyring) -> None:
        """From now on these keys are known, and no others; what runs goes on."""
        self.keyring = keyring
        self._recent: dict[str, Principal] = {}
        """Keys that were let in, as they came: to hash one for each of its requests costs more than to look it up."""

    def authenticate(self, key: str | None) -> Principal:
        """Raises Unauthenticated."""
        if key is None:
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer <key>'")
        principal = self._recent.get(key)
        if principal is not None:
            return principal
        principal = self.keyring.find(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest())
        if principal is None:
            raise Unauthenticated("this API key is not known here: check that it is whole and meant for this gateway")
        if len(self._recent) >= RECENT:
            self._recent.clear()
        self._recent[key] = principal
        return principal
