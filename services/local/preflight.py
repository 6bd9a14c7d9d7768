"""What would stop the stack, said before anything is installed or loaded. Standard library only.

python3.11 -m services.local.preflight [service ...]
"""

import json
import os
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from services.common.memory import available_memory
from services.common.paths import cache_dir, state_dir

SERVICES = ("gateway", "sentiment", "recommendation", "llm")
"""In the order in which they are stopped."""

PORTS = {
    "gateway": (
        ("NARU_GATEWAY__HTTP__PORT", 8080),
        ("NARU_GATEWAY__GRPC__PORT", 8081),
        ("NARU_GATEWAY__ADMIN__PORT", 8082),
    ),
    "llm": (("NARU_LLM__PORT", 8100),),
    "sentiment": (("NARU_SENTIMENT__PORT", 8200),),
    "recommendation": (("NARU_RECOMMENDATION__PORT", 8300),),
}
"""Variable and default of every port; a test holds them against the services' settings."""

MEMORY = {"gateway": 0.2, "llm": 3.7, "sentiment": 0.8, "recommendation": 0.5}
"""GiB that a service needs at its peak with its default model."""

DISK_TO_INSTALL, DISK_FOR_MODELS = 5.0, 1.0
"""GiB."""

GIB = 2**30


def chosen(names: Sequence[str]) -> tuple[str, ...]:
    """The services to start, all of them where none is named. Raises ValueError for a name there is not."""
    unknown = sorted(set(names) - set(SERVICES))
    if unknown:
        raise ValueError(f"there is no service {', '.join(unknown)}: choose from {', '.join(SERVICES)}")
    return tuple(name for name in SERVICES if name in names) if names else SERVICES


def problems(services: Sequence[str]) -> Iterator[str]:
    """Every reason why the stack could not run here, each with its remedy."""
    if sys.version_info[:2] != (3, 11):
        yield (
            f"this is Python {sys.version_info.major}.{sys.version_info.minor}; the locked packages are for 3.11: "
            "call make with PYTHON=<a python3.11>"
        )
    runner = running()
    if runner is not None:
        yield f"this stack is already running (process {runner}): 'naru status' shows it, 'naru down' stops it"
    else:
        yield from taken_ports(services)
    yield from too_little_memory(services)
    yield from too_little_disk()


def running() -> int | None:
    """The process that runs this user's stack, if one does."""
    try:
        pid = int(json.loads((state_dir() / "stack.json").read_text())["pid"])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError, KeyError):
        return None
    return pid if b"naru" in command or b"services.local" in command else None


def taken_ports(services: Sequence[str]) -> Iterator[str]:
    for service in services:
        for variable, default in PORTS[service]:
            value = os.environ.get(variable, str(default))
            if not value.isdecimal() or not 0 < int(value) < 65536:
                yield f"{variable} is {value!r}: give a port from 1 to 65535"
            elif taken(int(value)):
                yield f"port {value} ({service}) is taken by another program: stop it, or set {variable} to a free port"


def taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def too_little_memory(services: Sequence[str]) -> Iterator[str]:
    needed = sum(MEMORY[service] for service in services)
    free = available_memory() / GIB
    if free < needed:
        yield (
            f"{', '.join(services)} need about {needed:.1f} GiB of memory, {free:.1f} GiB are free: close something, "
            "or start a part, for example SERVICES='gateway sentiment recommendation'"
        )


def too_little_disk() -> Iterator[str]:
    wanted = [(cache_dir(), DISK_FOR_MODELS, "the models' cache; NARU_CACHE moves it")]
    if not Path(".venv").exists():
        wanted.append((Path.cwd(), DISK_TO_INSTALL, "the installation in .venv"))
    for folder, needed, what in wanted:
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        free = shutil.disk_usage(existing).free / GIB
        if free < needed:
            yield f"{folder} has {free:.1f} GiB left, {needed:.0f} GiB are needed for {what}"


def main() -> None:
    try:
        found = list(problems(chosen(sys.argv[1:])))
    except ValueError as error:
        found = [str(error)]
    if found:
        print("naru cannot start:", *(f"  - {problem}" for problem in found), sep="\n", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
