"""The hot path as machine code: mypyc makes C extension modules of it, from the same sources and their types.

    python -m services.gateway.compiled            # into build/compiled
    NARU_COMPILED=build/compiled naru up gateway

Where `NARU_COMPILED` names a folder, a module that was compiled comes from there, and only if it was compiled from
exactly these sources: never from those of yesterday. Where it names none, all of the gateway is Python's bytecode and
does the same, at a lower rate. See decision 0027.
"""

import hashlib
import os
import sys
import sysconfig
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path

VARIABLE = "NARU_COMPILED"
ROOT = Path(__file__).parents[3]
"""Holds `services`."""
MODULES = {
    "": ("answers", "instruments"),
    "api": ("direct_call", "door", "heading", "repeat", "urgency"),
    "policy": ("authenticate", "drain", "gate", "keyring", "quota"),
    "policy/admission": ("admissions", "fairshare", "model", "queue", "rates", "ticket"),
    "policy/usage": ("spent",),
    "policy/windows": ("counters", "headers", "limiter", "memory"),
    "relay": (
        "account", "admission", "bodies", "books", "cached", "context", "counting", "keepalive", "lane", "meter",
        "mirror", "relay", "sse", "stream",
    ),
    "relay/cache": ("key", "memory"),
    "routing": (
        "attempt", "budget", "dispatch", "filters", "hints", "latency", "outliers", "pick", "resilience", "scorers",
    ),
    "upstream": ("circuit", "connection", "endpoint", "exchange", "limits", "patience", "request"),
}  # fmt: skip
"""What a request or a token passes, by folder: compiled as one, so that calls among them are C calls."""
GROUP = "naru_gateway"
"""What mypyc calls the library that holds all of them."""


def sources() -> list[str]:
    """Of these modules, below `ROOT`."""
    return [str(Path("services/gateway", folder, f"{name}.py")) for folder, names in MODULES.items() for name in names]


class Finder:
    """Of modules that were compiled: a finder for `sys.meta_path`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG002
        """As `importlib.abc.MetaPathFinder`'s."""
        file = self._folder / (name.replace(".", "/") + _SUFFIX)
        if not name.startswith(("services.gateway.", GROUP)) or not file.exists():
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))


_SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))


def digest() -> str:
    """Of all that a compiled module depends on: its own source, those that it was typed by, and the interpreter."""
    read = hashlib.sha256(_SUFFIX.encode())
    for file in sorted(path for part in ("common", "gateway") for path in (ROOT / "services" / part).rglob("*.py")):
        read.update(b"%b\0%b\0" % (str(file.relative_to(ROOT)).encode(), file.read_bytes()))
    return read.hexdigest()[:16]


def use() -> None:
    """Take the modules that were compiled, where `NARU_COMPILED` names a folder. Raises ImportError."""
    named = os.environ.get(VARIABLE)
    if not named or in_use():
        return
    if "services.gateway.compiled" in sys.orig_argv:  # what is about to make them
        return
    folder = Path(named) / digest()
    if not folder.is_dir():
        raise ImportError(
            f"{VARIABLE}={named} holds nothing that was compiled from these sources by this Python: "
            f"run `python -m services.gateway.compiled --into {named}`, or unset it"
        )
    sys.meta_path.insert(0, Finder(folder))


def in_use() -> bool:
    """Whether this process runs compiled modules."""
    return any(isinstance(finder, Finder) for finder in sys.meta_path)
