"""The search finds the capacity of a system whose capacity is known, and a level is judged by what began in it."""

import random

import pytest

from loadtests.load.answer import Reply
from loadtests.load.knee import Knee, Search
from loadtests.load.slo import judge
from loadtests.load.totals import Totals, summed
from services.gateway.registry import Slo

SLO = Slo(ttft=0.1)


def simulated(capacity: int, draw: random.Random, *, most: int = 256) -> Knee:
    """A system in which every request takes a second once its turn has come, and so many run at a time."""
    knee = Knee(Search(level=4, most=most), 3.0, lambda found: judge(found, SLO, 0.95))
    totals, now = Totals(), 0.0
    while (users := knee.users) is not None:
        wait = max(0.0, (users - capacity) / capacity)  # Little's law
        replies = [_reply(now, wait + draw.uniform(0.01, 0.04)) for _ in range(min(users, capacity))]
        totals.add(summed(replies, SLO))
        now += 1.0
        knee.tick(now, users, totals)
        assert now < 5000
    return knee


def _reply(began: float, ttft: float) -> Reply:
    return Reply(began, status=200, first=began + ttft, last=began + ttft + 1, tokens=10, ended=began + ttft + 1)


@pytest.mark.parametrize("capacity", [1, 5, 40, 100, 200])
@pytest.mark.parametrize("seed", range(3))
def test_it_finds_a_known_capacity(capacity: int, seed: int) -> None:
    best = simulated(capacity, random.Random(seed)).best
    assert best is not None
    assert best.users == pytest.approx(capacity, rel=0.1)
    assert best.goodput == pytest.approx(min(best.users, capacity), rel=0.2)


def test_what_never_breaks_ends_at_the_most_users() -> None:
    best = simulated(1000, random.Random(1), most=32).best
    assert best is not None
    assert best.users == 32


def test_what_never_holds_has_no_knee() -> None:
    knee = Knee(Search(level=4, most=64), 1.0, lambda found: judge(found, Slo(ttft=0.001), 0.95))
    totals, now = Totals(), 0.0
    while (users := knee.users) is not None:
        totals.add(summed([_reply(now, 1.0) for _ in range(20)], SLO))
        now += 1.0
        knee.tick(now, users, totals)
    assert knee.best is None
    assert "TTFT" in knee.levels[0].why


def test_a_level_is_not_judged_by_what_began_before_it() -> None:
    knee = Knee(Search(level=4, most=8), 2.0, lambda found: judge(found, SLO, 0.95))
    totals = summed([_reply(0.0, 9.0)] * 100, SLO)  # a storm before the level
    for second in range(20):
        knee.tick(float(second), 4, totals)
        totals.add(summed([_reply(second, 0.01)] * 4, SLO))
        if knee.levels:
            break
    assert knee.levels[0].holds
