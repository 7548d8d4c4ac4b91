"""Where questions are kept: in memory, and in a real Redis."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deployments.gateway.cache.questions import ENTRY_BYTES, MemoryQuestions, QuestionStore
from deployments.gateway.cache.redis_link import PREFIX, RedisLink
from deployments.gateway.cache.redis_questions import RedisQuestions

TTL_S = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def owner() -> str:
    return os.urandom(4).hex()  # the server is one for all tests


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, clock: Clock) -> AsyncIterator[QuestionStore]:
    made: QuestionStore
    if request.param == "memory":
        made = MemoryQuestions(max_entries=2, max_bytes=10**6, ttl_s=TTL_S, clock=clock)
    else:
        link = RedisLink(request.getfixturevalue("redis_server"))
        made = RedisQuestions(link, max_entries=2, ttl_s=TTL_S, clock=clock)
    yield made
    await made.close()


async def test_a_bucket_has_what_was_added_to_it(store: QuestionStore, owner: str) -> None:
    await store.add(owner, f"{owner}1", "a", b"\x00\xff")
    await store.add(owner, f"{owner}2", "b", b"2")
    assert await store.asked(f"{owner}1") == {"a": b"\x00\xff"}
    assert await store.asked(f"{owner}2") == {"b": b"2"}
    assert await store.asked(f"{owner}3") == {}


async def test_an_owners_oldest_goes_first_over_all_buckets(store: QuestionStore, owner: str, clock: Clock) -> None:
    for number, key in enumerate("abc"):
        clock.now += 1
        await store.add(owner, f"{owner}{number}", key, b"x")
    await store.add(f"other-{owner}", f"other-{owner}", "d", b"x")
    found = [await store.asked(f"{owner}{number}") for number in range(3)]
    assert found == [{}, {"b": b"x"}, {"c": b"x"}]


async def test_what_is_added_again_is_kept_once_and_is_young(
    store: QuestionStore, owner: str, clock: Clock
) -> None:
    for key, vector in (("a", b"1"), ("b", b"2"), ("a", b"3"), ("c", b"4")):
        clock.now += 1
        await store.add(owner, owner, key, vector)
    assert await store.asked(owner) == {"a": b"3", "c": b"4"}


async def test_a_question_is_gone_after_its_time(store: QuestionStore, owner: str, clock: Clock) -> None:
    await store.add(owner, owner, "a", b"1")
    clock.now += TTL_S - 0.01
    assert await store.asked(owner) == {"a": b"1"}
    clock.now += 0.01
    assert await store.asked(owner) == {}


async def test_what_is_forgotten_is_gone_and_makes_room(store: QuestionStore, owner: str) -> None:
    await store.add(owner, owner, "a", b"1")
    await store.add(owner, owner, "b", b"2")
    await store.forget(owner, owner, ["b", "never"])
    await store.add(owner, owner, "c", b"3")
    assert await store.asked(owner) == {"a": b"1", "c": b"3"}


async def test_memory_stays_within_its_bytes_over_all_owners(clock: Clock) -> None:
    store = MemoryQuestions(max_entries=100, max_bytes=3 * (ENTRY_BYTES + 100), ttl_s=TTL_S, clock=clock)
    for number in range(10):
        await store.add(f"owner{number}", f"bucket{number}", str(number), b"x" * 100)
        assert store.size <= 3 * (ENTRY_BYTES + 100)
    assert len(store) == 3
    await store.close()
    assert (store.size, len(store)) == (0, 0)


async def test_gateways_share_what_is_in_redis_and_it_ends_by_itself(redis_server: str, owner: str) -> None:
    links = [RedisLink(redis_server), RedisLink(redis_server)]
    one, other = (RedisQuestions(link, max_entries=2, ttl_s=TTL_S) for link in links)
    await one.add(owner, owner, "a", b"1")
    assert await other.asked(owner) == {"a": b"1"}
    for key in (f"{PREFIX}asked:{owner}", f"{PREFIX}owner:{owner}"):
        left_ms = await links[0].ask(lambda redis, key=key: redis.pttl(key))  # type: ignore[misc]
        assert 0 < (left_ms or 0) <= TTL_S * 1000
    for link in links:
        await link.close()


async def test_what_is_over_its_time_in_redis_is_dropped_with_the_next(
    redis_server: str, owner: str, clock: Clock
) -> None:
    link = RedisLink(redis_server)
    store = RedisQuestions(link, max_entries=100, ttl_s=TTL_S, clock=clock)
    await store.add(owner, owner, "a", b"1")
    clock.now += TTL_S + 1
    await store.add(owner, owner, "b", b"2")
    assert await link.ask(lambda redis: redis.hkeys(f"{PREFIX}asked:{owner}")) == [b"b"]
    await link.close()


async def test_while_redis_is_away_nothing_was_asked(tmp_path: Path) -> None:
    store = RedisQuestions(RedisLink(f"unix://{tmp_path}/nobody"), max_entries=2, ttl_s=TTL_S)
    await store.add("o", "b", "a", b"1")
    assert await store.asked("b") == {}
    await store.forget("o", "b", ["a"])
    await store.close()
