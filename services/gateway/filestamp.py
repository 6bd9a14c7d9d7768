"""Tells whether a file is still the one that was read."""

from pathlib import Path

Stamp = tuple[int, ...]


def stamp(path: Path | None) -> Stamp:
    """Different once the file is, also where a link now leads to another one, as a mounted ConfigMap's does.

    Empty where there is no file. Take it before the file is read.
    """
    try:
        found = None if path is None else path.stat()
    except OSError:
        return ()
    return () if found is None else (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
