"""The load tests' bounded forms, against the real gateway as a process of its own."""

import pytest

from loadtests.memory import Amounts, soak
from loadtests.reload import measure
from loadtests.streaming import Shape
from loadtests.streams import endure


@pytest.mark.slow
def test_many_streams_at_once_lose_no_event_and_leave_nothing_behind() -> None:
    came = endure(Shape(streams=200, tokens=32, pace=0.05), seconds=5)
    assert came.found.answers >= 200
    assert came.after.left_over(came.idle) == []
    assert came.peak < 300


@pytest.mark.slow
def test_requests_and_cancellations_leave_nothing_behind() -> None:
    done = soak(Amounts(requests=5000, cancelled=500, names=100, parts=1))
    assert done.engine.left > 0, "the engines should see clients leave"
    assert done.engine.requests > 5000
    assert done.engine.connections < 1000, "connections to the engines should be kept"
    assert done.after.left_over(done.idle) == []
    for kind in ("invented model names", "invented paths"):
        first, *_, last = [series for name, _, series in done.rows if kind in name]
        # What cancelled streams used is written down by and by, and may be only now.
        made = {each for each in last ^ first if not each.startswith("naru_estimated_tokens_total")}
        assert not made, "a name that a client made up should make no time series"


@pytest.mark.slow
def test_a_registry_that_changes_under_load_drops_nothing_mixes_nothing_and_leaves_nothing() -> None:
    found = measure(Shape(streams=50, tokens=32, pace=0.05), reloads=50, seconds=5)
    assert found.reloads.done == 50
    assert found.streamed.answers >= 50
    assert found.mixed == 0
    assert found.charged[True] > 0
    assert found.charged[False] == 0
    assert found.after.left_over(found.idle) == []
