"""How far a share that was counted may be from the true one. Standard library only.

`Interval`s hold at every look at once, so whoever watches may look as often as wanted and stop when it is decided: they
are confidence sequences (Robbins, "Statistical methods related to the law of the iterated logarithm", 1970) from a
mixture of binomial likelihood ratios over Beta priors. Each of the two ends holds with the confidence given, for
independent requests. The priors do not touch that: they say where the interval is narrowest, at a few percent.

The tests of paired answers are looked at once and are exact (Clopper and Pearson, 1934; McNemar, 1947).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

_PRIORS = ((0.8, 0.5, 50.0), (0.2, 0.5, 0.5))
"""Weight, and the parameters of a Beta distribution."""
_ROUNDS = 60
"""Of halving: the end is then as exact as a float."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Of a true share, 0 to 1."""

    low: float
    high: float

    @classmethod
    def at_any_time(cls, count: int, of: int, confidence: float) -> Self:
        """Of the share from which `count` out of `of` came."""
        if of == 0:
            return cls(0.0, 1.0)
        limit = -math.log1p(-confidence)

        def outside(share: float) -> bool:
            return _log_mixture(count, of, share) >= limit

        seen = count / of
        low = 0.0 if count == 0 else _edge(outside, 0.0, seen)
        high = 1.0 if count == of else _edge(outside, 1.0, seen)
        return cls(low, high)


def _log_mixture(count: int, of: int, share: float) -> float:
    """Logarithm of the mixture's likelihood over that of `share`: a martingale if `share` is the true one."""
    if share in (0.0, 1.0):
        return math.inf
    rare, any_ = (
        math.log(weight) + _log_beta(a + count, b + of - count) - _log_beta(a, b) for weight, a, b in _PRIORS
    )  # fmt: skip
    mixed = max(rare, any_) + math.log1p(math.exp(-abs(rare - any_)))
    return mixed - count * math.log(share) - (of - count) * math.log1p(-share)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _edge(outside: Callable[[float], bool], out: float, inside: float) -> float:
    """Where `outside` begins to hold, from `inside` towards `out`; the outer side of what is left of doubt."""
    for _ in range(_ROUNDS):
        middle = (out + inside) / 2
        if outside(middle):
            out = middle
        else:
            inside = middle
    return out


def enough(share: float, at_most: float, confidence: float) -> int | None:
    """How many have to be seen, if this share of them is counted, until the share is surely below `at_most`.

    None where no number is enough.
    """
    if share >= at_most:
        return None
    few, many = 0, 1
    while Interval.at_any_time(round(share * many), many, confidence).high > at_most:
        few, many = many, many * 2
        if many > 2**40:
            return None
    while many - few > 1:
        middle = (few + many) // 2
        if Interval.at_any_time(round(share * middle), middle, confidence).high > at_most:
            few = middle
        else:
            many = middle
    return many


def as_many(count: int, of: int, share: float) -> float:
    """The probability of `count` or more out of `of` independent ones of this share."""
    if count <= 0:
        return 1.0
    if share in (0.0, 1.0):
        return share
    logs = (
        math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) + k * math.log(share)
        + (of - k) * math.log1p(-share)
        for k in range(count, of + 1)
    )  # fmt: skip
    return min(1.0, math.fsum(map(math.exp, logs)))


def exact(count: int, of: int, confidence: float) -> Interval:
    """For one look; each end holds with this confidence (Clopper and Pearson)."""
    error = 1 - confidence
    low = 0.0 if count == 0 else _edge(lambda share: as_many(count, of, share) <= error, 0.0, count / of)
    high = 1.0 if count == of else _edge(lambda share: as_many(of - count, of, 1 - share) <= error, 1.0, count / of)
    return Interval(low, high)
