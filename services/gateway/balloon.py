"""The empty space in the arenas of Python's allocator, given to the system.

Small objects stand in arenas of 1 MiB, which are unmapped as they become empty: after a burst a few objects hold each
of them. A balloon takes the space between, as a hypervisor's does inside a guest, and has the system take the pages
behind it (`madvise(2)`). A page goes where each of its bytes is the balloon's, or zero and too narrow for a block: the
system puts zeros in its place, so nothing changes for anybody else, whatever the allocator.
"""

import ctypes
import mmap
import sys
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path

BLOCK = 480
"""Bytes. Of those that stand in arenas (512 at most) these fill a pool of 16 KiB best: all but 64 bytes."""
STEP = 1000
"""Blocks that are taken or let go of at once, in a millisecond."""
LARGEST = 32 * STEP
"""Blocks, 15 MiB. What is free beyond them stays so: work that comes before the balloon is let go of need not have a
new arena each time."""
SPARE = 2 * STEP
"""Blocks' worth of space that is left to ordinary work."""


class Balloon:
    def __init__(self) -> None:
        api = ctypes.PyDLL(None)  # keeps the interpreter's lock while it calls
        self._take, self._let_go, self._advise = api.PyMem_Malloc, api.PyMem_Free, api.madvise
        self._take.restype, self._take.argtypes = ctypes.c_size_t, [ctypes.c_size_t]
        self._let_go.restype, self._let_go.argtypes = None, [ctypes.c_size_t]
        self._advise.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int]
        self._blocks = array("Q")
        """Addresses."""

    def __len__(self) -> int:
        return len(self._blocks)

    def inflate(self) -> Iterator[None]:
        """Take what is free, until the allocator needs one more arena. Yields between two steps."""
        if sys.platform != "linux":
            return
        before = _mapped()
        # What comes first is in the fullest arenas: should it become somebody's, it holds none that was empty.
        spare = [self._take(BLOCK) for _ in range(SPARE)]
        while len(self) < LARGEST and _mapped() <= before:
            yield
            step = sorted(self._take(BLOCK) for _ in range(STEP))
            self._blocks.extend(step)
            if not sum([self._give(*run) for run in _runs(step)]):
                break  # another allocator, which lays its blocks out otherwise
        for block in spare:
            self._let_go(block)

    def deflate(self) -> Iterator[None]:
        """Let the allocator have it again. Yields between two steps."""
        while self._blocks:
            for block in self._blocks[-STEP:]:
                self._let_go(block)
            del self._blocks[-STEP:]
            yield

    def _give(self, begin: int, end: int) -> int:
        """Give the system the pages of adjacent blocks: how many bytes."""
        first, last = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE
        rest = last + mmap.PAGESIZE - end
        if rest < BLOCK and not any(ctypes.string_at(end, rest)):
            last += mmap.PAGESIZE
        if first < last:
            self._advise(first, last - first, mmap.MADV_DONTNEED)
        return max(0, last - first)


def _runs(blocks: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Where blocks that lie side by side begin and end; `blocks` by their addresses."""
    begin = end = 0
    for block in blocks:
        if block != end:
            if end:
                yield begin, end
            begin = block
        end = block + BLOCK
    yield begin, end


def _mapped() -> int:
    """Pages of address space (`statm`, proc(5))."""
    return int(Path("/proc/self/statm").read_bytes().split()[0])
