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
from services.gateway.upstream.request import headers

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

    def ask(self, limiter: MemoryLimiter) -> "Asked":
        granted = limiter.ask(self)
        if granted is not None:
            self.granted(granted, self.since)
        return self

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
    return Asked(scopes, stream).ask(limiter)


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
    key, tenant = Scope("key:a", "t", tokens_per_minute=100), Scope("tenant:t", "t", tokens_per_day=1000)
    first, second, third = (reserve(limiter, 60, key, tenant) for _ in range(3))
    assert first.in_
    assert second.in_  # there was room for some of it
    assert third.limit == "key:a/tokens_per_minute"
    clock.now += 10
    limiter.settle(first, 20, first.since)
    limiter.settle(second, 30, second.since)
    assert tokens_left(ask(limiter, key, tenant)) == [50, 950]
    clock.now += 61
    assert tokens_left(ask(limiter, key, tenant)) == [100, 950]


def test_a_reservation_that_left_the_window_is_not_given_back_twice(limiter: MemoryLimiter, clock: Clock) -> None:
    key, tenant = Scope("key:a", "t", tokens_per_minute=100), Scope("tenant:t", "t", tokens_per_day=1000)
    long = reserve(limiter, 60, key, tenant)
    clock.now += 90
    limiter.settle(long, 70, long.since)
    assert tokens_left(ask(limiter, key, tenant)) == [30, 930]


def test_a_reservation_of_yesterday_takes_nothing_from_today(limiter: MemoryLimiter, clock: Clock) -> None:
    key = Scope("key:a", "t", tokens_per_day=1000)
    clock.now = 2 * NOON - 5
    late = reserve(limiter, 60, key)
    clock.now += 10
    limiter.settle(late, 7, late.since)
    asked = ask(limiter, key)
    assert tokens_left(asked) == [993]
    assert asked.standings[0].daily


def reserve(limiter: MemoryLimiter, tokens: int, *scopes: Scope) -> Asked:
    return Asked(scopes, reserved=tokens).ask(limiter)


def tokens_left(asked: Asked) -> list[float]:
    return [standing.tokens_left for standing in asked.standings]


def test_a_key_whose_limits_change_is_held_to_the_new_ones_by_what_it_used(limiter: MemoryLimiter) -> None:
    old, tenant = Scope("key:a", "t", requests_per_minute=3, tokens_per_minute=100), Scope("tenant:t", "t")
    stream = ask(limiter, old, tenant, stream=True)
    ask(limiter, old, tenant)
    tighter = Scope("key:a", "t", requests_per_minute=2, concurrent_streams=1)
    assert ask(limiter, tighter, tenant).limit == "key:a/requests_per_minute"
    wider = Scope("key:a", "t", requests_per_minute=10, tokens_per_minute=100, concurrent_streams=1)
    assert ask(limiter, wider, tenant, stream=True).limit == "key:a/concurrent_streams"
    limiter.settle(stream, 30)
    asked = ask(limiter, wider, tenant, stream=True)
    assert (asked.standings[0].requests_left, asked.standings[0].tokens_left) == (7, 70)


def test_what_runs_while_limits_of_another_kind_come_is_told_of_its_own_alone(limiter: MemoryLimiter) -> None:
    old = (Scope("key:a", "t", tokens_per_minute=100), Scope("tenant:t", "t", requests_per_minute=9))
    running = ask(limiter, *old)
    new = (Scope("key:a", "t", tokens_per_day=50, requests_per_minute=2), Scope("tenant:t", "t"))
    assert ask(limiter, *new).in_
    told = dict(headers(Told(old).lines(running.standings, own=0)))
    assert b"x-ratelimit-limit-tokens" not in told
    assert told.get(b"x-ratelimit-limit-requests", b"9") == b"9"


def test_keys_of_one_tenant_share_its_limits_also_when_these_change(limiter: MemoryLimiter) -> None:
    def scopes(key: str, most: int) -> tuple[Scope, Scope]:
        return Scope(f"key:{key}", "t", requests_per_minute=100), Scope("tenant:t", "t", requests_per_minute=most)

    one, other = scopes("a", 3), scopes("b", 3)
    assert [ask(limiter, *each).in_ for each in (one, other, one, other)] == [True, True, True, False]
    one, other = scopes("a", 5), scopes("b", 5)
    assert [ask(limiter, *each).in_ for each in (one, other, one)] == [True, True, False]
    late = ask(limiter, *scopes("b", 3))  # it came in with limits that hold no more
    assert late.limit == "tenant:t/requests_per_minute"
    assert [each.standings[0].requests_left for each in (ask(limiter, *one), ask(limiter, *other))] == [97, 98]
    one = scopes("a", 7)
    assert [ask(limiter, *each).in_ for each in (one, one, one)] == [True, True, False]


@given(st.data())
def test_what_is_left_is_the_limit_less_what_was_taken_in_the_last_minute(data: st.DataObject) -> None:
    """Beside the plainest account there is: a list of what was taken when."""
    clock = Clock()
    limiter = MemoryLimiter(clock)
    scope = Scope("key:a", "t", requests_per_minute=8, tokens_per_minute=60, tokens_per_day=150, concurrent_streams=2)
    running: list[Asked] = []
    requests: list[int] = []
    tokens: list[list[int]] = []
    streams = 0
    for _ in range(data.draw(st.integers(1, 40))):
        clock.now += data.draw(st.sampled_from([0.0, 0.4, 1.0, 7.0, 61.0]))
        second = int(clock.now)
        if data.draw(st.booleans()) and running:
            ended, used = running.pop(data.draw(st.integers(0, len(running) - 1))), data.draw(st.integers(0, 30))
            limiter.settle(ended, used, ended.since)
            streams -= ended.stream
            if ended.since:
                tokens.remove([ended.since, ended.reserved])
            tokens.append([second, used])
            continue
        stream, reserved = data.draw(st.booleans()), data.draw(st.integers(0, 20))
        asked = Asked((scope,), stream, reserved=reserved).ask(limiter)
        minute = sum(used for at, used in tokens if at >= second - 60)
        today = sum(used for _, used in tokens)
        recent = sum(at >= second - 60 for at in requests)
        refused = recent >= 8 or minute >= 60 or today >= 150 or (asked.stream and streams >= 2)
        assert asked.in_ is not refused
        if asked.in_:
            running.append(asked)
            requests.append(second)
            streams += asked.stream
            if asked.since:
                tokens.append([asked.since, asked.reserved])
            recent, minute, today = recent + 1, minute + asked.reserved, today + asked.reserved
        standing = asked.standings[0]
        assert (standing.requests_left, standing.tokens_left) == (8 - recent, min(60 - minute, 150 - today))


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
    assert dict(headers(Told(asked.scopes).lines(asked.standings, own=0))) == {
        b"x-ratelimit-limit-requests": b"5",
        b"x-ratelimit-remaining-requests": b"3",
        b"x-ratelimit-reset-requests": b"1m0s",
        b"x-ratelimit-limit-tokens": b"100",
        b"x-ratelimit-remaining-tokens": b"40",
        b"x-ratelimit-reset-tokens": b"1m0s",
    }


def test_durations_are_written_as_openai_writes_them() -> None:
    assert [duration(s) for s in (1, 90, 3600 * 6)] == [b"1s", b"1m30s", b"6h0m0s"]
