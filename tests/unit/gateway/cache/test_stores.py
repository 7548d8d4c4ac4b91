from collections.abc import AsyncIterator

import pytest

from deployments.gateway.cache.memory import ENTRY_BYTES, MemoryStore
from deployments.gateway.cache.redis import RedisStore
from deployments.gateway.cache.redis_link import PAUSE_S, PREFIX, RedisLink
from tests.unit.gateway.cache.tiny_redis import TinyRedis


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def memory(clock: Clock | None = None, **bounds: int) -> MemoryStore:
    given = {"max_bytes": 10**6, "max_entries": 100, "max_entry_bytes": 1000, **bounds}
    return MemoryStore(**given, ttl_s=10, clock=clock or Clock())


async def test_what_is_put_is_found_and_the_rest_is_not() -> None:
    store = memory()
    await store.put({"a": b"1", "b": b"2"})
    assert await store.get(["b", "x", "a"]) == [b"2", None, b"1"]


async def test_an_entry_is_gone_after_its_time() -> None:
    clock = Clock()
    store = memory(clock)
    await store.put({"a": b"1"})
    clock.now = 9.99
    assert await store.get(["a"]) == [b"1"]
    clock.now = 10.0
    assert await store.get(["a"]) == [None]
    assert (store.size, len(store)) == (0, 0)


async def test_the_least_recently_used_entry_goes_first() -> None:
    store = memory(max_entries=2)
    await store.put({"a": b"1", "b": b"2"})
    await store.get(["a"])
    await store.put({"c": b"3"})
    assert await store.get(["a", "b", "c"]) == [b"1", None, b"3"]


async def test_memory_stays_within_its_bytes() -> None:
    store = memory(max_bytes=3 * (ENTRY_BYTES + 100))
    for number in range(50):
        await store.put({str(number): b"x" * 100})
        assert store.size <= 3 * (ENTRY_BYTES + 100)
    assert len(store) == 3


async def test_an_entry_that_is_too_large_is_not_stored() -> None:
    store = memory(max_entry_bytes=10)
    await store.put({"a": b"x" * 11, "b": b"x" * 10})
    assert await store.get(["a", "b"]) == [None, b"x" * 10]


async def test_a_key_that_is_put_again_is_counted_once() -> None:
    store = memory()
    await store.put({"a": b"x" * 500})
    await store.put({"a": b"y"})
    assert store.size == ENTRY_BYTES + 1


@pytest.fixture
async def server() -> AsyncIterator[TinyRedis]:
    server = TinyRedis()
    server.url = await server.start()  # type: ignore[attr-defined]
    yield server
    await server.stop()


@pytest.fixture
async def redis(server: TinyRedis) -> AsyncIterator[RedisStore]:
    clock = Clock()
    link = RedisLink(server.url, clock=clock)  # type: ignore[attr-defined]
    store = RedisStore(link, max_entry_bytes=100, ttl_s=1.5)
    store.clock = clock  # type: ignore[attr-defined]
    yield store
    await store.close()


async def test_redis_gives_back_what_another_gateway_put(server: TinyRedis, redis: RedisStore) -> None:
    await redis.put({"a": b"1", "b": b"\xff\x00", "large": b"x" * 101})
    link = RedisLink(server.url)  # type: ignore[attr-defined]
    other = RedisStore(link, max_entry_bytes=100, ttl_s=1.5)
    assert await other.get(["a", "b", "large", "x"]) == [b"1", b"\xff\x00", None, None]
    await other.close()


async def test_redis_forgets_in_time_by_itself(server: TinyRedis, redis: RedisStore) -> None:
    await redis.put({"a": b"1"})
    assert [b"SET", f"{PREFIX}a".encode(), b"1", b"PX", b"1500"] in server.commands


async def test_while_redis_is_away_everything_is_a_miss_and_nobody_waits(
    server: TinyRedis, redis: RedisStore
) -> None:
    await redis.put({"a": b"1"})
    await server.stop()
    assert await redis.get(["a"]) == [None]
    commands = len(server.commands)
    await redis.put({"b": b"2"})
    assert await redis.get(["a", "b"]) == [None, None]
    assert len(server.commands) == commands


async def test_redis_is_asked_again_after_a_while(server: TinyRedis, redis: RedisStore) -> None:
    redis._link._away_until = PAUSE_S
    await redis.put({"a": b"1"})
    assert server.commands == []
    redis.clock.now = PAUSE_S  # type: ignore[attr-defined]
    await redis.put({"a": b"1"})
    assert await redis.get(["a"]) == [b"1"]


async def test_a_redis_that_says_nothing_is_away(server: TinyRedis, redis: RedisStore) -> None:
    server.silent = True
    assert await redis.get(["a"]) == [None]
