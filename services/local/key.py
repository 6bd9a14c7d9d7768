"""The keys of the stack on this machine: the development key and the admin key, each made once and kept in the user's
configuration folder unless the environment gives one.
"""

import os
import secrets
from pathlib import Path

from services.common.paths import config_dir


def path() -> Path:
    return config_dir() / "api_key"


def development_key() -> str:
    return os.environ.get("NARU_API_KEY") or _kept(path())


def admin_key() -> str:
    return os.environ.get("NARU_GATEWAY__ADMIN__API_KEY") or _kept(config_dir() / "admin_key")


def _kept(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _make(path)


def _make(path: Path) -> str:
    key = f"naru-{secrets.token_urlsafe(32)}"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key
