"""The retry budget: a share of recent requests, and a floor."""

from services.gateway.routing.budget import RetryBudget


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def spent(budget: RetryBudget) -> int:
    """How many retries it gives until it gives no more."""
    count = 0
    while budget.withdraw():
        count += 1
    return count


def test_the_floor_is_there_without_any_request() -> None:
    assert spent(RetryBudget(0.2, 3, clock=Clock())) == 3


def test_a_share_of_the_requests_may_be_retried() -> None:
    budget = RetryBudget(0.2, 0, clock=Clock())
    budget.requests += 100
    assert spent(budget) == 20
    budget.requests += 5
    assert spent(budget) == 1


def test_what_was_spent_comes_back_as_the_window_moves() -> None:
    clock = Clock()
    budget = RetryBudget(0.0, 10, window=10, clock=clock)
    assert spent(budget) == 10
    clock.now = 10
    assert spent(budget) == 0  # all ten lie in the window that has just ended
    clock.now = 15
    assert spent(budget) == 5
    clock.now = 40
    assert spent(budget) == 8  # 10 less the third of 5 that is still recent, spread over the 30 s since


def test_requests_of_long_ago_count_as_a_rate() -> None:
    clock = Clock()
    budget = RetryBudget(0.2, 0, window=10, clock=clock)
    budget.requests += 6000
    clock.now = 600
    assert spent(budget) == 20


def test_a_share_of_none_and_a_floor_of_none_allow_none() -> None:
    budget = RetryBudget(0, 0, clock=Clock())
    budget.requests += 1000
    assert spent(budget) == 0
