"""Buckets and accounts, over any sequence of requests."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.gateway.limits.account import Account, Limited
from deployments.gateway.limits.bucket import full, full_in_s, wait_s
from deployments.gateway.limits.memory import LOOKED_AT, MemoryLimits
from deployments.gateway.principal import Limits

pauses = st.floats(0, 200, allow_nan=False)
costs = st.integers(1, 50)


@settings(max_examples=50)
@given(st.integers(1, 1000), st.lists(st.tuples(pauses, costs), max_size=40))
def test_no_window_of_any_length_gives_more_than_a_minutes_worth_and_what_refilled(
    per_minute: int, asked: list[tuple[float, int]]
) -> None:
    now, bucket, taken = 0.0, full(per_minute, 0.0), []
    for pause, cost in asked:
        now += pause
        bucket = bucket.filled(per_minute, now)
        if wait_s(bucket.level, cost, per_minute) == 0:
            bucket = bucket.less(cost)
            taken.append((now, cost))
    for start, (since, _) in enumerate(taken):
        total = 0
        for moment, cost in taken[start:]:
            total += cost
            assert total <= per_minute + (moment - since) * per_minute / 60 + 1e-3


@settings(max_examples=50)
@given(st.integers(1, 1000), st.integers(0, 1200), st.integers(1, 1000), pauses)
def test_after_the_told_wait_it_is_there(per_minute: int, used: int, cost: int, since: float) -> None:
    bucket = full(per_minute, 0.0).less(used).filled(per_minute, since)
    wait = wait_s(bucket.level, cost, per_minute)
    if cost > per_minute:
        assert math.isinf(wait)
        return
    later = bucket.filled(per_minute, since + wait)
    assert wait_s(later.level, cost, per_minute) == 0
    assert wait == 0 or wait_s(bucket.filled(per_minute, since + wait * 0.9).level, cost, per_minute) > 0


@settings(max_examples=50)
@given(st.integers(1, 1000), st.integers(-500, 500), st.floats(-100, 1000, allow_nan=False))
def test_a_bucket_never_holds_more_than_its_limit(per_minute: int, cost: int, now: float) -> None:
    bucket = full(per_minute, 0.0).less(cost).filled(per_minute, now)
    assert bucket.level <= per_minute
    assert full_in_s(bucket.level, per_minute) >= 0


def test_a_limit_that_was_lowered_holds_at_once() -> None:
    assert full(100, 0.0).filled(10, 0.0).level == 10


LIMITS = Limits(requests_per_minute=2, tokens_per_minute=100, concurrent_requests=2)


def test_what_is_refused_takes_nothing() -> None:
    account = Account()
    assert account.take(LIMITS, tokens=90, lease="a", now=0.0).refused is None
    refused = account.take(LIMITS, tokens=90, lease="b", now=0.0)
    assert (refused.refused, refused.standing.requests, refused.standing.tokens) == (Limited.TOKENS, 1, 10)
    assert account.running == {"a"}


def test_the_wait_is_that_of_the_limit_that_takes_longest() -> None:
    account = Account()
    account.take(LIMITS, tokens=50, lease="a", now=0.0)
    account.take(LIMITS, tokens=50, lease="b", now=0.0)
    verdict = account.take(LIMITS, tokens=100, lease="c", now=0.0)
    assert (verdict.refused, verdict.wait_s) == (Limited.TOKENS, 60)
    verdict = account.take(LIMITS, tokens=1, lease="c", now=0.0)
    assert (verdict.refused, verdict.wait_s) == (Limited.REQUESTS, 30)


def test_only_so_many_run_at_once() -> None:
    limits, account = Limits(concurrent_requests=2), Account()
    for lease in "ab":
        assert account.take(limits, tokens=0, lease=lease, now=0.0).refused is None
    assert account.take(limits, tokens=0, lease="c", now=0.0).refused is Limited.CONCURRENT
    account.settle(limits, lease="a", tokens=0, now=0.0)
    assert account.take(limits, tokens=0, lease="c", now=0.0).refused is None


def test_settling_gives_back_what_was_not_used_and_takes_what_was_used_above_it() -> None:
    account = Account()
    account.take(LIMITS, tokens=60, lease="a", now=0.0)
    account.settle(LIMITS, lease="a", tokens=50, now=0.0)
    assert account.standing(LIMITS, 0.0).tokens == 90
    account.take(LIMITS, tokens=60, lease="b", now=0.0)
    account.settle(LIMITS, lease="b", tokens=-100, now=0.0)
    standing = account.standing(LIMITS, 0.0)
    assert (standing.tokens, standing.tokens_reset_s) == (-70, 102)


async def test_accounts_that_are_idle_are_forgotten_and_others_are_not() -> None:
    now = 0.0
    store = MemoryLimits(clock=lambda: now)
    limits = Limits(requests_per_minute=5, tokens_per_minute=1000)
    for number in range(100):
        await store.take(f"key-{number}", limits, tokens=10, lease=str(number))
        if number != 7:
            store.settle(f"key-{number}", limits, tokens=0, lease=str(number))
    now = 61.0
    for number in range(200, 200 + 100 // LOOKED_AT + 2):
        await store.take(f"key-{number}", limits, tokens=10, lease=str(number))
    assert len(store) < 30
    store.settle("key-7", limits, tokens=-900, lease="7")  # it was still running, and used far more
    assert (await store.standing("key-7", limits)).tokens <= 100
