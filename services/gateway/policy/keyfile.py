"""The key file: who may call, for which tenant, and how much. It holds SHA-256 digests, never a key."""

import contextlib
import fcntl
import hashlib
import os
import secrets
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, StringConstraints, ValidationError, model_validator

from services.common.settings import Section
from services.gateway.registry import Priority

Name = Annotated[str, StringConstraints(pattern=r"^[\w.@:-]+$", max_length=64)]
"""Of a key or a tenant; it stands in metrics, logs and paths. (`{1,64}` in the pattern would take 4 MiB of memory.)"""
Amount = Annotated[int, Field(ge=1)]

HEAD = """\
# Keys of Naru's gateway. `naru keys` and the admin API write this file anew: comments above the first entry stay,
# others are lost. What an entry may say: docs/reference.md, API keys.
"""


class KeyFileError(ValueError):
    """The key file cannot be used; the message names the field, never a key."""


class KeyTakenError(KeyFileError):
    """There is a key of that name."""


class Quota(Section):
    """How much may be used; what is left out is not limited."""

    requests_per_minute: Amount | None = None
    """Requests within any 60 s."""
    tokens_per_minute: Amount | None = None
    """Tokens, in and out, within any 60 s; reserved as a request begins, charged when its answer is over."""
    tokens_per_day: Amount | None = None
    """Tokens, in and out, of one day (UTC)."""
    concurrent_streams: Amount | None = None
    """Streamed answers at once."""


class Tenant(Quota):
    """What all keys of a tenant may use together."""

    weight: float = Field(default=1.0, gt=0)
    """Its share of a model that is busy, relative to the other tenants' weights."""


class Key(Quota):
    """One API key; its hash: `printf %s "$KEY" | sha256sum`."""

    name: Name
    """What people call this key."""
    tenant: Name
    """Who is charged and counted; a metric's label."""
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    """Hex SHA-256 of the key."""
    models: frozenset[str] | None = None
    """The models this key may use; all of them where left out."""
    priority: Priority | None = None
    """The most urgent class of its requests; left out, as each model's role says."""


class KeyFile(Section):
    keys: tuple[Key, ...] = ()
    tenants: dict[Name, Tenant] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _keys_are_distinct(self) -> Self:
        for field in ("name", "sha256"):
            twice = [value for value, count in Counter(getattr(key, field) for key in self.keys).items() if count > 1]
            if twice:
                which = f"are named {twice[0]!r}" if field == "name" else "have the same sha256"
                raise ValueError(f"keys: two of them {which}")
        return self


def load_keys(path: Path) -> KeyFile:
    """Read a key file. Raises KeyFileError."""
    try:
        return KeyFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise KeyFileError(f"{path}: {faults(error)}") from None
    except (yaml.YAMLError, ValueError, RecursionError):  # a date that is none is a ValueError
        raise KeyFileError(f"{path} is not YAML") from None


def faults(error: ValidationError) -> str:
    """What is wrong with which field, without the values: one might be a key that was put into a wrong place."""
    return "; ".join(f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors())


def new_secret() -> str:
    """A key: 32 random bytes, so that a fast hash of it is enough."""
    return f"naru-{secrets.token_urlsafe(32)}"


def digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def development_key(secret: str) -> Key:
    return Key(name="development", tenant="development", sha256=digest(secret))


def add_key(path: Path, key: Key) -> None:
    """Write the file anew with one more key. Raises KeyTakenError, KeyFileError."""
    with _changing(path) as old:
        if any(known.name == key.name for known in old.keys):
            raise KeyTakenError(f"there is a key {key.name!r} already: revoke it first, or choose another name")
        write_keys(path, old.model_copy(update={"keys": (*old.keys, key)}))


def remove_key(path: Path, name: str) -> bool:
    """Write the file anew without a key; whether there was such. Raises KeyFileError."""
    with _changing(path) as old:
        left = tuple(key for key in old.keys if key.name != name)
        if len(left) == len(old.keys):
            return False
        write_keys(path, old.model_copy(update={"keys": left}))
        return True


@contextlib.contextmanager
def _changing(path: Path) -> Iterator[KeyFile]:
    """What the file holds, while no other process changes it. Raises KeyFileError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with os.fdopen(os.open(path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield load_keys(path) if path.exists() else KeyFile()
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}") from None


def write_keys(path: Path, file: KeyFile) -> None:
    """Replace the file at once: whoever reads it sees the old or the new one, whole. Of its comments, those at its
    head stay."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    head = _head(path) if path.exists() else HEAD
    data: dict[str, Any] = file.model_dump(mode="json", exclude_defaults=True)
    data.setdefault("keys", [])
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
        opened.write(head)
        yaml.safe_dump(data, opened, sort_keys=False, allow_unicode=True)
        opened.flush()
        os.fsync(opened.fileno())
    scratch.replace(path)


def _head(path: Path) -> str:
    """The comments and empty lines above the first entry."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return "".join(takewhile(lambda line: not line.strip() or line.startswith("#"), lines))
