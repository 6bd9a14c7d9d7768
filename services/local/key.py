"""The development key: `NARU_API_KEY`, else one that is made once and kept in the user's configuration folder."""

import os
import secrets
from pathlib import Path

from services.common.paths import config_dir


def path() -> Path:
    return config_dir() / "api_key"


def development_key() -> str:
    given = os.environ.get("NARU_API_KEY")
    if given:
        return given
    try:
        return path().read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return _make()


def _make() -> str:
    key = f"naru-{secrets.token_urlsafe(32)}"
    path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key + "\n")
    return key
