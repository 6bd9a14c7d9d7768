"""The generator knows when it was the bottleneck itself, and says so."""

import time

import gevent

from loadtests.load.pulse import Pulse, Second


def test_work_that_holds_the_loop_up_is_seen() -> None:
    pulse = Pulse()
    beating = gevent.spawn(pulse.beat)
    for _ in range(4):
        gevent.sleep(0.03)
        time.sleep(0.1)  # as an answer that takes too long to read
    second = pulse.count()
    beating.kill()
    assert second.late > 0.05
    assert second.strained


def test_a_busy_generator_says_so_and_a_single_hiccup_is_none() -> None:
    calm, strained = Second(0.002, 0.3), Second(0.05, 1.0)
    assert not Pulse([calm] * 50 + [strained]).bottleneck
    busy = Pulse([calm] * 40 + [strained] * 10)
    assert busy.bottleneck
    assert "THE GENERATOR WAS THE BOTTLENECK in 10 of 50 s" in busy.verdict()
    assert "kept up" in Pulse([calm] * 50).verdict()
