"""Images without a container engine: buildah builds them on a base made by debootstrap, and `unshare` runs them."""

import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.common.paths import cache_dir
from services.local.install import ROOT

SUITE = "bookworm"
PYTHON = "python3.11,python3.11-venv,python3-distutils"
TAG = "test"
ROOM = 20e9
"""Bytes of disk that the image of vLLM takes at most while it is built."""


def missing() -> str | None:
    """Why images can't be built here, if they can't."""
    lacking = [tool for tool in ("buildah", "debootstrap", "unshare") if shutil.which(tool) is None]
    if lacking:
        return f"no {' and no '.join(lacking)}: apt-get install buildah debootstrap"
    return None if os.geteuid() == 0 else "debootstrap and a read-only root need root"


def run(*command: str, environment: Mapping[str, str] | None = None, timeout: float = 1500) -> str:
    """What the command wrote. An AssertionError shows its last lines where it failed."""
    done = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[0]} failed:\n{done.stdout[-6000:]}"
    return done.stdout


@dataclass(frozen=True)
class Image:
    """An image in the builder's storage, laid out as a folder."""

    name: str
    root: Path
    config: dict[str, Any]
    """What a container engine reads: Entrypoint, Env, User, WorkingDir, Labels, Healthcheck, ExposedPorts."""

    @property
    def variables(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for pair in self.config["Env"])


@dataclass(frozen=True)
class Mount:
    outside: Path
    inside: str
    writable: bool = False

    def __str__(self) -> str:
        return f"{self.outside}:{self.inside}" + ("" if self.writable else ":ro")


class Builder:
    """buildah with a storage of its own under `folder`; what pip fetched is kept in the cache."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pip_config = folder / "pip.conf"
        self._scratch = cache_dir() / "images" / "tmp"
        self._scratch.mkdir(parents=True, exist_ok=True)
        self._environment = {
            **os.environ, "TMPDIR": str(self._scratch), "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay",
            "CONTAINERS_STORAGE_CONF": str(self._storage(folder)),
        }  # fmt: skip

    @staticmethod
    def _storage(folder: Path) -> Path:
        file = folder / "storage.conf"
        file.write_text(f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/storage"\nrunroot = "{folder}/run"\n')
        return file

    def buildah(self, *arguments: str) -> str:
        return run("buildah", *arguments, environment=self._environment).strip()

    def base(self) -> Image:
        """Debian's own Python, and nothing else that Debian does not need."""
        if not self.buildah("images", "--quiet", "--filter", f"reference=localhost/python:{TAG}"):
            container = self.buildah("from", "scratch")
            self.buildah("add", "--quiet", container, str(python_base()), "/")
            self.buildah("commit", "--quiet", "--rm", container, f"localhost/python:{TAG}")
        return self.open("python")

    def no_room(self) -> str | None:
        """Why the image of vLLM can't be built here, if it can't."""
        free = min(shutil.disk_usage(folder).free for folder in (self._folder, self._scratch))
        return None if free >= ROOM else f"{free / 1e9:.0f} GB of disk are free, and it takes {ROOM / 1e9:.0f}"

    def build(self, base: Image, *images: str, layers: bool = True) -> None:
        """As `make images` does, with what pip is configured to use on this machine.

        Without `layers` only the last stage is written to the storage, as one layer: less to write, and nothing is kept
        for a next build.
        """
        mounts = [mount for mount in self.package_index() if mount.outside.is_dir()] + uv_cache()
        flags = ["--pull-never", f"--layers={str(layers).lower()}", *(f"--volume {mount}" for mount in mounts)]
        variables = {
            "ENGINE": "buildah", "REGISTRY": "localhost", "TAG": TAG, "PYTHON_BASE": f"localhost/{base.name}:{TAG}",
            "PIP_CONFIG_FILE": str(self._pip_config), "BUILD_FLAGS": " ".join(flags),
        }  # fmt: skip
        run("scripts/images.sh", *images, environment={**self._environment, **variables})

    def package_index(self) -> list[Mount]:
        """What pip needs inside an image to find what it finds on this machine."""
        config, folders = pip_config()
        self._pip_config.write_text(config)
        return [Mount(self._pip_config, "/etc/pip.conf"), *(Mount(path, str(path)) for path in folders)]

    def open(self, name: str) -> Image:
        container = self.buildah("from", "--pull-never", f"localhost/{name}:{TAG}")
        described = json.loads(self.buildah("inspect", "--type", "image", f"localhost/{name}:{TAG}"))
        return Image(name, Path(self.buildah("mount", container)), described["Docker"]["config"])

    def close(self, *, keep: bool) -> None:
        """With `keep` the layers stay, for the next build."""
        self.buildah("rm", "--all")
        if not keep:
            shutil.rmtree(self._folder, ignore_errors=True)


def python_base() -> Path:
    """A tar archive of a small Debian with Python, made once."""
    archive = cache_dir() / "images" / f"{SUITE}-{PYTHON}.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            root, made = Path(scratch) / "root", Path(scratch) / "made.tar"
            run("debootstrap", "--variant=minbase", f"--include={PYTHON}", SUITE, str(root))
            for left in ("var/cache/apt/archives", "var/lib/apt/lists", "dev"):
                shutil.rmtree(root / left)
                (root / left).mkdir()
            run("tar", "--create", "--file", str(made), "--directory", str(root), ".")
            made.rename(archive)
    return archive


def pip_config() -> tuple[str, list[Path]]:
    """A pip.conf of what pip uses here, and the folders of this machine that it names."""
    found: dict[str, str] = {}
    for line in run(sys.executable, "-m", "pip", "config", "list").splitlines():
        key, _, value = line.partition("=")
        # What the environment says comes first, and counts.
        found.setdefault(key.rpartition(".")[2], str(ast.literal_eval(value)))
    # An index's pages name its files by relative paths, so its whole folder is needed.
    named = [Path(part.removeprefix("file://")) for value in found.values() for part in value.split()]
    folders = {path.parent if path.name == "simple" or path.is_file() else path for path in named if path.is_absolute()}
    return "\n".join(["[global]", *(f"{option} = {value}" for option, value in found.items()), ""]), sorted(folders)


def uv_cache() -> list[Mount]:
    """This machine's own: what it was installed from is not fetched and unpacked once more."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        return []
    folder = Path(run(uv, "cache", "dir").strip())
    return [Mount(folder, "/root/.cache/uv", writable=True)] if folder.is_dir() else []


NETWORK = (Mount(Path("/etc/hosts"), "/etc/hosts"), Mount(Path("/etc/resolv.conf"), "/etc/resolv.conf"))
"""What every container engine gives to a container."""


@dataclass(frozen=True)
class Container:
    """How an image is run; the network is the machine's own, so containers meet on loopback."""

    image: Image
    user: int
    mounts: Sequence[Mount]
    variables: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        """`arguments` in place of the image's own entry point, where there are any."""
        variables = {**self.image.variables, **self.variables}
        return [
            "unshare", "--mount", "--propagation", "private",
            "sh", str(Path(__file__).with_name("container.sh")), str(self.image.root), str(self.user),
            " ".join(map(str, [*NETWORK, *self.mounts])),
            "env", "--ignore-environment", f"--chdir={self.image.config['WorkingDir']}",
            *(f"{name}={value}" for name, value in variables.items()),
            *(arguments or self.image.config["Entrypoint"]),
        ]  # fmt: skip

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another command to its end beside the first one."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False)

    def written(self) -> dict[str, int]:
        """Files and sockets left in each writable path."""
        return {
            mount.inside: sum(not path.is_dir() for path in mount.outside.rglob("*"))
            for mount in self.mounts
            if mount.writable
        }
