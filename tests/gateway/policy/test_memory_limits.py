"""Limits counted in one gateway: what they let in, what they say when they do not, and when they let in again."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import NaruError, QuotaExceeded
from services.gateway.policy.keyring import Scope
from services.gateway.policy.windows.headers import Told, duration
from services.gateway.policy.windows.limiter import Standing
from services.gateway.policy.windows.memory import MemoryLimiter

NOON = 12 * 3600.0


@dataclass
class Asked:
    scopes: tuple[Scope, ...]
    stream: bool = False
    in_: bool = False
    error: NaruError | None = None
    limit: str = ""
    standings: list[Standing] = field(default_factory=list)
    reserved: int = 0
    since: int = 0

    def granted(self, standings: Sequence[Standing], since: int = 0) -> None:
        self.in_, self.standings, self.since = True, list(standings), since

    def refused(self, error: NaruError, standings: Sequence[Standing] = (), limit: str = "", scope: str = "") -> None:
        self.error, self.limit, self.standings = error, f"{scope}/{limit}", list(standings)

    @property
    def wait(self) -> int:
        assert isinstance(self.error, QuotaExceeded)
        assert self.error.retry_after is not None
        return self.error.retry_after


class Clock:
    now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def limiter(clock: Clock) -> MemoryLimiter:
    return MemoryLimiter(clock)


def ask(limiter: MemoryLimiter, *scopes: Scope, stream: bool = False) -> Asked:
    asked = Asked(scopes, stream)
    limiter.ask(asked)
    return asked


def test_requests_of_a_minute(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", requests_per_minute=3)
    for _ in range(3):
        assert ask(limiter, key).in_
        clock.now += 10
    refused = ask(limiter, key)
    assert refused.limit == "key:a/requests_per_minute"
    assert refused.error is not None
    assert "3 requests per minute" in refused.error.message
    clock.now += refused.wait
    assert ask(limiter, key).in_
    assert not ask(limiter, key).in_


@given(st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=200), st.integers(1, 20))
def test_no_minute_ever_has_more_than_the_limit_and_whoever_waits_as_told_gets_in(gaps: list[float], most: int) -> None:
    clock = Clock()
    limiter, key = MemoryLimiter(clock), Scope("key:a", "t", requests_per_minute=most)
    admitted: list[float] = []
    for gap in gaps:
        clock.now += gap
        asked = ask(limiter, key)
        if not asked.in_:
            clock.now += asked.wait
            assert ask(limiter, key).in_
        admitted.append(clock.now)
    assert all(later - earlier > 60 for earlier, later in zip(admitted, admitted[most:], strict=False))


def test_tokens_are_charged_when_an_answer_is_over(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", tokens_per_minute=100)
    first, second = ask(limiter, key), ask(limiter, key)
    limiter.settle(first, 70)
    clock.now += 20
    limiter.settle(second, 70)
    refused = ask(limiter, key)
    assert refused.limit == "key:a/tokens_per_minute"
    assert refused.wait in (41, 42)
    clock.now += refused.wait
    assert ask(limiter, key).in_


def test_tokens_of_a_day_are_there_again_at_midnight(limiter: MemoryLimiter, clock: Clock) -> None:
    tenant = Scope("tenant:t", "t", tokens_per_day=100)
    limiter.settle(ask(limiter, tenant), 100)
    refused = ask(limiter, tenant)
    assert refused.limit == "tenant:t/tokens_per_day"
    assert refused.wait == 12 * 3600
    clock.now += refused.wait
    assert ask(limiter, tenant).in_


def test_streams_at_once(limiter: MemoryLimiter) -> None:
    key = Scope("key:a", "t", concurrent_streams=1)
    stream = ask(limiter, key, stream=True)
    assert ask(limiter, key, stream=True).limit == "key:a/concurrent_streams"
    assert ask(limiter, key).in_  # what does not stream takes no stream
    limiter.settle(stream, 0)
    assert ask(limiter, key, stream=True).in_


def test_a_request_that_its_tenant_may_not_make_is_not_counted_against_its_key(limiter: MemoryLimiter) -> None:
    key, tenant = Scope("key:a", "t", requests_per_minute=2), Scope("tenant:t", "t", concurrent_streams=1)
    stream = ask(limiter, key, tenant, stream=True)
    assert ask(limiter, key, tenant, stream=True).limit == "tenant:t/concurrent_streams"
    limiter.settle(stream, 0)
    assert ask(limiter, key, tenant, stream=True).in_


def test_of_several_limits_the_one_that_lasts_longest_is_named(limiter: MemoryLimiter) -> None:
    key = Scope("key:a", "t", requests_per_minute=1, tokens_per_day=5)
    limiter.settle(ask(limiter, key), 5)
    assert ask(limiter, key).limit == "key:a/tokens_per_day"


def test_todays_tokens_can_be_restored(limiter: MemoryLimiter) -> None:
    limiter.restore({"key:a": 7})
    assert not ask(limiter, Scope("key:a", "t", tokens_per_day=7)).in_
    assert ask(limiter, Scope("key:b", "t", tokens_per_day=7)).in_


def test_tokens_that_are_reserved_count_until_what_was_used_is_known(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", tokens_per_minute=100, tokens_per_day=1000)
    first, second, third = (reserve(limiter, key, 60) for _ in range(3))
    assert first.in_
    assert second.in_  # there was room for some of it
    assert third.limit == "key:a/tokens_per_minute"
    clock.now += 10
    limiter.settle(first, 20, first.since)
    limiter.settle(second, 30, second.since)
    fourth = ask(limiter, key)
    assert (fourth.standings[0].tokens, fourth.standings[0].today) == (50, 50)
    clock.now += 61
    assert (ask(limiter, key).standings[0].tokens, fourth.standings[0].today) == (0, 50)


def test_a_reservation_that_left_the_window_is_not_given_back_twice(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", tokens_per_minute=100, tokens_per_day=1000)
    long = reserve(limiter, key, 60)
    clock.now += 90
    limiter.settle(long, 70, long.since)
    asked = ask(limiter, key)
    assert (asked.standings[0].tokens, asked.standings[0].today) == (70, 70)


def test_a_reservation_of_yesterday_takes_nothing_from_today(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", tokens_per_day=1000)
    clock.now = 2 * NOON - 5
    late = reserve(limiter, key, 60)
    clock.now += 10
    limiter.settle(late, 7, late.since)
    assert ask(limiter, key).standings[0].today == 7


def reserve(limiter: MemoryLimiter, scope: Scope, tokens: int) -> Asked:
    asked = Asked((scope,), reserved=tokens)
    limiter.ask(asked)
    return asked


def test_a_clock_that_is_set_back_loses_nothing(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", requests_per_minute=1)
    assert ask(limiter, key).in_
    clock.now -= 30
    assert not ask(limiter, key).in_


def test_headers_tell_the_limit_that_leaves_least(limiter: MemoryLimiter) -> None:
    key = Scope("key:a", "t", requests_per_minute=10, tokens_per_minute=100)
    tenant = Scope("tenant:t", "t", requests_per_minute=5, tokens_per_minute=1000)
    limiter.settle(ask(limiter, key, tenant), 60)
    asked = ask(limiter, key, tenant)
    assert dict(Told(asked.scopes).headers(asked.standings, own=0)) == {
        b"x-ratelimit-limit-requests": b"5",
        b"x-ratelimit-remaining-requests": b"3",
        b"x-ratelimit-reset-requests": b"1m0s",
        b"x-ratelimit-limit-tokens": b"100",
        b"x-ratelimit-remaining-tokens": b"40",
        b"x-ratelimit-reset-tokens": b"1m0s",
    }


def test_durations_are_written_as_openai_writes_them() -> None:
    assert [duration(s) for s in (1, 90, 3600 * 6)] == [b"1s", b"1m30s", b"6h0m0s"]
