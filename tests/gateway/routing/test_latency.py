"""The running quantile that hedging waits for."""

from services.gateway.routing.latency import EVERY, SAMPLES, RunningQuantile


def test_it_says_nothing_until_it_has_seen_enough() -> None:
    quantile = RunningQuantile(0.95)
    for _ in range(EVERY - 1):
        quantile.add(1.0)
    assert quantile.value is None
    quantile.add(1.0)
    assert quantile.value == 1.0


def test_it_is_the_quantile_of_the_last_values() -> None:
    quantile = RunningQuantile(0.95)
    for value in range(SAMPLES):
        quantile.add(1000.0 + value)
    for value in range(SAMPLES):
        quantile.add(float(value % 100))
    assert quantile.value is not None
    assert 93 <= quantile.value <= 96
