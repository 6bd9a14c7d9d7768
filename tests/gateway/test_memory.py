"""When memory is given back: after a burst, once, and never in the middle of one."""

import ctypes
import sys

import psutil
import pytest

from services.gateway.memory import BURST, CALM, Memory, give_back


class Load:
    def __init__(self) -> None:
        self.running = self.given_back = 0
        self.memory = Memory(lambda: self.running, self._back)

    def _back(self) -> None:
        self.given_back += 1

    def seconds(self, count: int, running: int) -> int:
        """How often it was given back by the end of so many seconds with so many calls."""
        self.running = running
        for _ in range(count):
            self.memory.look()
        return self.given_back


def test_after_a_burst_once() -> None:
    load = Load()
    assert load.seconds(60, BURST) == 0
    assert load.seconds(CALM - 1, 0) == 0
    assert load.seconds(60, 0) == 1


def test_also_where_some_calls_go_on() -> None:
    load = Load()
    assert load.seconds(1, 1000) == 0
    assert load.seconds(60, 200) == 1
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
    give_back()
    assert before - psutil.Process().memory_info().rss > 2**25
    libc.free(last)
