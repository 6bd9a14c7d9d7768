"""How much memory there is: the machine's or, in a container, the control group's, whichever is less."""

from pathlib import Path

_GROUP = Path("/sys/fs/cgroup")


def available_memory() -> float:
    """Bytes that can still be used."""
    free = _machine("MemAvailable")
    limit = _limit()
    return free if limit is None else min(free, limit - float((_GROUP / "memory.current").read_text()))


def total_memory() -> float:
    """Bytes, used or not."""
    limit = _limit()
    return _machine("MemTotal") if limit is None else min(_machine("MemTotal"), limit)


def _machine(name: str) -> float:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return float(lines[name].split()[0]) * 1024


def _limit() -> float | None:
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
    except OSError:
        return None
    return None if limit == "max" else float(limit)
