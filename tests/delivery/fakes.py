"""Programs that stand in for those that need a cluster, a registry or GitHub; what they were asked is kept."""

import os
import subprocess
from pathlib import Path

from services.local.install import ROOT

_HEAD = """#!/bin/sh
{ printf '%s' "$(basename "$0")"; printf ' %s' "$@"; echo; } >>"$CALLS"
"""


class Fakes:
    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        self._calls = folder / "calls"
        self._calls.touch()
        self.variables: dict[str, str] = {}

    def add(self, name: str, body: str = "") -> None:
        """A program of this name; `body` is what it does, in sh."""
        file = self._bin / name
        file.write_text(_HEAD + body + "\n")
        file.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self._bin}:{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "CALLS": str(self._calls), **self.variables}

    def run(self, *command: str, within: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=within, check=False
        )

    def calls(self, *names: str) -> list[str]:
        """What was called, in order; of these programs, where some are named."""
        lines = self._calls.read_text().splitlines()
        return [line for line in lines if not names or line.split(" ", 1)[0] in names]
