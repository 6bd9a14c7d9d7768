"""How many users there are at what time, and how far apart their requests come.

A shape is a function of seconds; `Knee` in `knee.py` listens, too.
"""

import random
from collections.abc import Callable
from enum import StrEnum

Users = Callable[[float], int]


class Shape(StrEnum):
    STEADY = "steady"
    RAMP = "ramp"
    SPIKE = "spike"
    SOAK = "soak"
    KNEE = "knee"


def steady(most: int, _: float) -> Users:
    return lambda _: most


def ramp(most: int, seconds: float) -> Users:
    """From one to all in ten steps of equal length."""
    return lambda at: max(1, round(most * min(1.0, (int(10 * at / seconds) + 1) / 10)))


def spike(most: int, seconds: float) -> Users:
    """A tenth of them; for the third fifth of the time, at once, all."""
    return lambda at: most if 0.4 <= at / seconds < 0.6 else max(1, most // 10)


def soak(most: int, seconds: float) -> Users:
    """All of them, after a tenth of the time, at most a minute, in which they come one by one."""
    rise = min(60.0, seconds / 10)
    return lambda at: max(1, min(most, round(most * at / rise)))


SHAPES = {Shape.STEADY: steady, Shape.RAMP: ramp, Shape.SPIKE: spike, Shape.SOAK: soak}


def gap(draw: random.Random, rate: float, burstiness: float) -> float:
    """Seconds to the next of so many arrivals a second: Gamma-distributed, its shape the burstiness, as `vllm bench
    serve` has it. A shape of 1 is a Poisson process."""
    return draw.gammavariate(burstiness, 1 / (rate * burstiness))
