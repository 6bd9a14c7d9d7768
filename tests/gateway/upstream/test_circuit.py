"""An endpoint's circuit: what opens it, for how long, and what closes it again."""

from services.gateway.upstream.circuit import Circuit, CircuitPolicy

POLICY = CircuitPolicy(consecutive=3, ratio=0.5, minimum=10, window=10.0, first=2.0, longest=10.0)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Circuit:
    circuit = Circuit(clock)
    circuit.open(POLICY)
    return circuit


def probe(circuit: Circuit, *, well: bool) -> None:
    assert circuit.begin()
    if well:
        circuit.succeeded(probe=True)
    elif circuit.failed(POLICY, probe=True):
        circuit.open(POLICY)


def test_failures_in_a_row_open_it_and_a_success_between_starts_anew() -> None:
    circuit = Circuit(Clock())
    assert [circuit.failed(POLICY, probe=False) for _ in range(2)] == [False, False]
    circuit.succeeded(probe=False)
    assert [circuit.failed(POLICY, probe=False) for _ in range(3)] == [False, False, True]


def test_a_share_of_failures_opens_it_once_there_are_enough_answers() -> None:
    circuit = Circuit(Clock())
    verdicts = []
    for _ in range(5):
        verdicts.append(circuit.failed(POLICY, probe=False))
        circuit.succeeded(probe=False)
    assert verdicts == [False] * 5
    assert circuit.failed(POLICY, probe=False)  # 6 of 11


def test_failures_long_ago_do_not_count() -> None:
    clock = Clock()
    circuit = Circuit(clock)
    for _ in range(20):
        clock.now += 11
        assert not circuit.failed(POLICY, probe=False)
        circuit.succeeded(probe=False)


def test_it_admits_nothing_while_open_and_one_probe_after() -> None:
    clock = Clock()
    circuit = opened(clock)
    assert not circuit.admits()
    clock.now += 2
    assert circuit.admits()
    assert circuit.begin()
    assert not circuit.admits()
    circuit.succeeded(probe=True)
    assert circuit.closed
    assert circuit.admits()


def test_only_the_probe_decides() -> None:
    clock = Clock()
    circuit = opened(clock)
    circuit.succeeded(probe=False)  # sent before the ejection, answered after
    assert not circuit.closed
    assert not circuit.failed(POLICY, probe=False)


def test_a_probe_that_was_given_up_leaves_the_next_request_to_probe() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 2
    assert circuit.begin()
    circuit.abandoned(probe=True)
    assert circuit.admits()


def test_each_further_ejection_lasts_longer_up_to_a_bound() -> None:
    clock = Clock()
    circuit = opened(clock)
    waited = []
    for _ in range(5):
        before = clock.now
        while not circuit.admits():
            clock.now += 0.5
        waited.append(clock.now - before)
        probe(circuit, well=False)
    assert waited == [2, 4, 8, 10, 10]


def test_an_endpoint_that_relapses_stays_away_longer_until_it_has_done_well_for_long() -> None:
    clock = Clock()
    circuit = opened(clock)
    clock.now += 2
    probe(circuit, well=True)
    clock.now += 1
    assert circuit.open(POLICY) == 4
    clock.now += 4
    probe(circuit, well=True)
    clock.now += POLICY.longest + 1
    assert circuit.open(POLICY) == 2


def test_an_endpoint_found_back_is_taken_at_once() -> None:
    circuit = opened(Clock())
    circuit.close()
    assert circuit.admits()
