"""Pages of Python's allocator that hold nothing go to the system, and what stands beside them stays as it was."""

import os
import subprocess
import sys

import psutil
import pytest

from services.gateway.balloon import Balloon

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="madvise, and what it does, is Linux's")


def burst(first: int) -> list[bytes]:
    """Small objects, and of them a few that stay: some in each arena."""
    many = [b"%0100d" % (first + i) for i in range(300_000)]
    return many[::1000]


def alone() -> None:
    """In a process of its own, whose arenas hold nothing but this. Prints the bytes that went to the system."""
    balloon, survivors = Balloon(), burst(0)
    before = psutil.Process().memory_info().rss
    for _ in balloon.inflate():
        pass
    print(before - psutil.Process().memory_info().rss)
    for _ in balloon.deflate():
        pass
    assert len(balloon) == 0
    further = burst(1)
    assert survivors == [b"%0100d" % i for i in range(0, 300_000, 1000)]
    assert further == [b"%0100d" % (i + 1) for i in range(0, 300_000, 1000)], "what was let go of is of use again"


def given(allocator: str) -> int:
    command = [sys.executable, "-c", "from tests.gateway.test_balloon import alone; alone()"]
    variables = {**os.environ, "PYTHONMALLOC": allocator}
    return int(subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout)


def test_what_stands_empty_between_survivors_is_no_longer_resident() -> None:
    assert given("pymalloc") > 8 * 2**20, "of the burst's 43 MB"


def test_what_another_allocator_made_is_left_alone() -> None:
    assert given("malloc") < 2**20


def test_objects_made_between_two_steps_are_left_alone() -> None:
    balloon = Balloon()
    made = [[b"%0200d" % (i + j) for j in range(1000)] for i, _ in enumerate(balloon.inflate())]
    assert made == [[b"%0200d" % (i + j) for j in range(1000)] for i in range(len(made))]
    made += [[b"%0200d" % (i + j) for j in range(1000)] for i, _ in enumerate(balloon.deflate(), len(made))]
    assert made == [[b"%0200d" % (i + j) for j in range(1000)] for i in range(len(made))]
