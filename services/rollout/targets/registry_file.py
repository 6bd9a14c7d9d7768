"""A registry file on this machine, which gateways read again as it changes.

Progress is kept beside it, in `<registry>.rollouts.json`. Each file is replaced at once, so that a reader sees the old
one or the new one, whole; the progress is written first, so that a killed process leaves weights that it accounts for.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import ValidationError

from services.rollout.entry import Entry, read_entry
from services.rollout.errors import RefusedError, TargetError
from services.rollout.progress import Progress
from services.rollout.targets.target import weights_found
from services.rollout.targets.yaml_weights import with_weights


class RegistryFile:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = path.with_name(f"{path.name}.rollouts.json")

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def lasting(self) -> str:
        return ""

    def read(self, model: str) -> Entry:
        try:
            data = yaml.safe_load(self._text())
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise TargetError(f"{self._path} is not YAML: {error}") from None
        return read_entry(data.get("models") if isinstance(data, dict) else None, model, self.name)

    def progress(self, model: str) -> Progress | None:
        kept = self._all().get(model)
        try:
            return None if kept is None else Progress.model_validate(kept)
        except ValidationError as error:
            raise TargetError(f"{self._kept}: {error.errors()[0]['msg']}") from None

    def write(self, progress: Progress) -> None:
        model = progress.plan.model
        with _locked(self._path.with_name(f".{self._path.name}.lock"), wait=True):
            found = weights_found(self, progress)
            replace(self._kept, json.dumps({**self._all(), model: progress.model_dump(mode="json")}, indent=2) + "\n")
            if found != progress.weights:
                replace(self._path, with_weights(self._text(), model, progress.weights))

    @contextlib.contextmanager
    def alone(self, model: str) -> Iterator[None]:
        try:
            with _locked(self._path.with_name(f".{self._path.name}.{quote(model, safe='')}.lock"), wait=False):
                yield
        except BlockingIOError:
            raise RefusedError(f"another process drives a rollout of {model} in {self._path}") from None

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TargetError(f"{self._path}: {error}") from None

    def _all(self) -> dict[str, Any]:
        if not self._kept.exists():
            return {}
        try:
            found: dict[str, Any] = json.loads(self._kept.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise TargetError(f"{self._kept}: {error}") from None
        return found


@contextlib.contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[None]:
    """Without `wait` raises BlockingIOError where another process has it. It ends with the process that has it."""
    try:
        opened = path.open("a")
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}; the registry's folder must be writable") from None
    with opened:
        fcntl.flock(opened, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield


def replace(path: Path, text: str) -> None:
    """At once, with the mode that it had; where it is a link, what it leads to. Raises TargetError."""
    target = path.resolve()
    scratch = target.with_name(f".{target.name}.new")
    try:
        with scratch.open("w", encoding="utf-8") as opened:
            if target.exists():
                os.fchmod(opened.fileno(), target.stat().st_mode & 0o7777)
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        scratch.replace(target)
    except OSError as error:
        raise TargetError(f"{path}: {error.strerror}") from None
