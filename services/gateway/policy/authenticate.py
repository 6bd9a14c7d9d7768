"""Who is asking: API keys, held as SHA-256 digests only.

A key is 32 random bytes or more (`naru up` makes such), so a fast hash is enough: there is nothing to guess.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import StringConstraints, ValidationError

from services.common.errors import Unauthenticated
from services.common.settings import Section

RECENT = 1000
"""Keys in use that are known without hashing them."""


class KeyFileError(ValueError):
    """The key file cannot be used; the message names the field, never a key."""


class Key(Section):
    """One API key; its hash: `printf %s "$KEY" | sha256sum`."""

    name: str
    """What people call this key."""
    tenant: str
    """Who is charged and counted; a metric's label."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Hex SHA-256 of the key."""
    models: frozenset[str] | None = None
    """The models this key may use; all of them where left out."""


class KeyFile(Section):
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is made for."""

    tenant: str
    key: str
    models: frozenset[str] | None

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models


class Authenticator:
    def __init__(self, keys: Iterable[Key]) -> None:
        self._recent: dict[str, Principal] = {}
        """Keys that were let in, as they came: to hash one for each of its requests costs more than to look it up."""
        self._principals = {
            bytes.fromhex(key.sha256): Principal(tenant=key.tenant, key=key.name, models=key.models) for key in keys
        }

    def authenticate(self, key: str | None) -> Principal:
        """Raises Unauthenticated."""
        if key is None:
            raise Unauthenticated("no API key: send it as 'Authorization: Bearer <key>'")
        principal = self._recent.get(key)
        if principal is not None:
            return principal
        principal = self._principals.get(hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest())
        if principal is None:
            raise Unauthenticated("this API key is not known here: check that it is whole and meant for this gateway")
        if len(self._recent) >= RECENT:
            self._recent.clear()
        self._recent[key] = principal
        return principal


def load_keys(path: Path) -> tuple[Key, ...]:
    """Read a key file. Raises KeyFileError."""
    try:
        return KeyFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).keys
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise KeyFileError(f"{path} is not YAML") from None
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())
        raise KeyFileError(f"{path}: {faults}") from None


def development_key(key: str) -> Key:
    return Key(name="development", tenant="development", sha256=hashlib.sha256(key.encode()).hexdigest())
