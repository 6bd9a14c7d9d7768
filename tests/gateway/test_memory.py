"""When memory is given back: after a burst, once, and never in the middle of one."""

import ctypes
import sys
from collections.abc import Iterator

import psutil
import pytest

from services.gateway.balloon import Balloon
from services.gateway.memory import BURST, CALM, LOAD, Memory, trim


class Counted(Balloon):
    def __init__(self) -> None:
        super().__init__()
        self.inflated, self.full = 0, False

    def inflate(self) -> Iterator[None]:
        self.inflated += 1
        self.full = True
        yield

    def deflate(self) -> Iterator[None]:
        self.full = False
        yield


class Load:
    def __init__(self) -> None:
        self.running, self.balloon = 0, Counted()
        self.memory = Memory(lambda: self.running, self.balloon)

    def seconds(self, count: int, running: int) -> int:
        """How often it was given back by the end of so many seconds with so many calls."""
        self.running = running
        for _ in range(count):
            for _ in self.memory.make_room():
                pass
            for _ in self.memory.look():
                pass
        return self.balloon.inflated


def test_after_a_burst_once() -> None:
    load = Load()
    assert load.seconds(60, BURST) == 0
    assert load.seconds(CALM - 1, 0) == 0
    assert load.seconds(60, 0) == 1


def test_also_where_some_calls_go_on() -> None:
    load = Load()
    assert load.seconds(1, 1000) == 0
    assert load.seconds(60, 200) == 1
    assert load.balloon.full
    assert load.seconds(60, 49) == 2


def test_a_pause_is_no_end() -> None:
    load = Load()
    for _ in range(10):
        load.seconds(3, BURST)
        assert load.seconds(CALM - 1, 0) == 0


def test_a_few_calls_are_no_burst() -> None:
    load = Load()
    load.seconds(10, BURST - 1)
    assert load.seconds(60, 0) == 0


def test_the_next_burst_has_room() -> None:
    load = Load()
    load.seconds(1, BURST)
    load.seconds(CALM, 0)
    load.seconds(10, LOAD - 1)
    assert load.balloon.full
    load.seconds(1, LOAD)
    assert not load.balloon.full


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator")
def test_what_was_freed_is_no_longer_resident() -> None:
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_size_t],
        [ctypes.c_void_p],
    )
    blocks = [libc.malloc(2**16) for _ in range(1000)]
    last = libc.malloc(2**16)  # what lies below it can't be given back by itself
    for block in blocks:
        ctypes.memset(block, 1, 2**16)
        libc.free(block)
    before = psutil.Process().memory_info().rss
    trim()
    assert before - psutil.Process().memory_info().rss > 2**25
    libc.free(last)
