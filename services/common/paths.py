"""Where Naru keeps things on a machine: caches, configuration, the state of a running stack.

Follows the XDG base directory specification; `NARU_CACHE` moves the cache. Standard library only: these are read
before anything is installed.
"""

import os
from pathlib import Path


def _base(variable: str, default: str) -> Path:
    return Path(os.environ.get(variable) or Path.home() / default)


def cache_dir() -> Path:
    """Models, data and compiled graphs; can be deleted at any time and is made again."""
    override = os.environ.get("NARU_CACHE")
    return Path(override).expanduser().absolute() if override else _base("XDG_CACHE_HOME", ".cache") / "naru"


def config_dir() -> Path:
    """What the user owns: the development key."""
    return _base("XDG_CONFIG_HOME", ".config") / "naru"


def state_dir() -> Path:
    """What a running local stack leaves for `naru status`, `logs` and `down`."""
    return _base("XDG_STATE_HOME", ".local/state") / "naru"
