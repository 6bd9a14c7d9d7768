"""`naru keys`: makes, lists and revokes API keys, in the key file or through a gateway's admin API."""

import os
from pathlib import Path
from typing import Any, Protocol

from pydantic import ValidationError

from services.common.paths import config_dir
from services.gateway.policy.keyfile import (
    Key,
    KeyFileError,
    add_key,
    digest,
    faults,
    load_keys,
    new_secret,
    remove_key,
)
from services.local.admin import Admin, AdminError

HASH_SHOWN = 8
"""Digits of a key's hash that are shown."""


def default_file() -> Path:
    """The file that a gateway on this machine reads."""
    return Path(os.environ.get("NARU_GATEWAY__KEYS__FILE") or config_dir() / "keys.yaml")


class Keys(Protocol):
    """Where keys are kept. Each raises AdminError."""

    def create(self, wanted: dict[str, Any]) -> str:
        """Returns the key, which is shown once and nowhere kept."""

    def listed(self) -> list[dict[str, Any]]: ...

    def revoke(self, name: str) -> bool:
        """Whether there was such a key."""


class FileKeys:
    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, wanted: dict[str, Any]) -> str:
        secret = new_secret()
        try:
            add_key(self.path, Key.model_validate({**wanted, "sha256": digest(secret)}))
        except ValidationError as error:
            raise AdminError(faults(error)) from None
        except KeyFileError as error:
            raise AdminError(str(error)) from None
        return secret

    def listed(self) -> list[dict[str, Any]]:
        try:
            keys = load_keys(self.path).keys if self.path.exists() else ()
        except KeyFileError as error:
            raise AdminError(str(error)) from None
        return [
            {**key.model_dump(mode="json", exclude_defaults=True), "sha256": f"{key.sha256[:HASH_SHOWN]}…"}
            for key in keys
        ]

    def revoke(self, name: str) -> bool:
        try:
            return remove_key(self.path, name)
        except KeyFileError as error:
            raise AdminError(str(error)) from None


class AdminKeys:
    def __init__(self, admin: Admin) -> None:
        self._admin = admin

    def create(self, wanted: dict[str, Any]) -> str:
        made: str = self._admin.ask("POST", "/admin/keys", body=wanted).json()["key"]
        return made

    def listed(self) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = self._admin.ask("GET", "/admin/keys").json()["data"]
        return data

    def revoke(self, name: str) -> bool:
        return self._admin.ask("DELETE", f"/admin/keys/{name}", missing=True).status_code != 404
