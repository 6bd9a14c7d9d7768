"""Usage in a folder, one JSON file a day. Gateways on one machine may share it."""

import asyncio
import contextlib
import fcntl
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import groupby
from pathlib import Path

import msgspec

from services.gateway.policy.usage.ledger import UsageError
from services.gateway.policy.usage.memory import oldest, utc_today
from services.gateway.policy.usage.row import Row, merge

_decode = msgspec.json.Decoder(list[Row]).decode


class FolderStore:
    def __init__(self, folder: Path, days: int, today: Callable[[], date] = utc_today) -> None:
        """`days`: how many are kept, today included."""
        self._folder, self._days, self._today = folder, days, today

    async def add(self, rows: Sequence[Row]) -> None:
        await asyncio.to_thread(self._add, rows)

    async def read(self, first: date, last: date) -> list[Row]:
        return await asyncio.to_thread(self._read, first, last)

    async def close(self) -> None:
        pass

    def _add(self, rows: Sequence[Row]) -> None:
        with self._locked():
            for day, of_day in groupby(sorted(rows, key=lambda row: row.day), key=lambda row: row.day):
                path = self._folder / f"{day}.json"
                known = {row.of: row for row in _load(path)}
                for row in of_day:
                    merge(known, row)
                scratch = path.with_suffix(".new")
                scratch.write_bytes(msgspec.json.encode(list(known.values())))
                scratch.replace(path)
            for path in self._files():
                if path.stem < oldest(self._days, self._today()):
                    path.unlink()

    def _read(self, first: date, last: date) -> list[Row]:
        with self._locked():
            days = [path for path in self._files() if first.isoformat() <= path.stem <= last.isoformat()]
            return [row for path in days for row in _load(path)]

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("????-??-??.json"))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """While no other process reads or writes. Raises UsageError for what goes wrong with a file."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / ".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise UsageError(f"{error.filename or self._folder}: {error.strerror}") from None


def _load(path: Path) -> list[Row]:
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return []
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} holds no usage: {error}") from None
