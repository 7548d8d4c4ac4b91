"""What was asked, in Redis, for the semantic cache of several gateways.

A hash for each bucket: the answer's key, and when it ends with its vector. A sorted set for each owner says in
which order they came, so that the oldest can go. Both end by themselves a while after the last addition.
"""

import struct
from collections.abc import Callable
from time import time
from typing import Any

from deployments.gateway.cache.redis_link import PREFIX, RedisLink

UNTIL = struct.Struct("<d")  # before each vector: the end of its time, in seconds of the wall clock


class RedisQuestions:
    """Questions in Redis. While Redis is away nothing was asked."""

    def __init__(
        self, link: RedisLink, *, max_entries: int, ttl_s: float, clock: Callable[[], float] = time
    ) -> None:
        self._link = link
        self._max_entries = max_entries
        self._ttl_s = ttl_s
        self._ttl_ms = max(1, int(ttl_s * 1000))
        self._clock = clock  # the gateways', which must agree to about a second

    async def asked(self, bucket: str) -> dict[str, bytes]:
        """The vectors of a bucket, of those whose time has not ended."""
        found = await self._link.ask(lambda redis: redis.hgetall(_bucket(bucket))) or {}
        now = self._clock()
        return {
            key.decode(): value[UNTIL.size :]
            for key, value in found.items()
            if len(value) > UNTIL.size and UNTIL.unpack_from(value)[0] > now
        }

    async def add(self, owner: str, bucket: str, key: str, vector: bytes) -> None:
        """Keep one, and drop what is over the owner's bound or over its time."""
        now = self._clock()
        value = UNTIL.pack(now + self._ttl_s) + vector

        async def add(redis: Any) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                pipeline.hset(_bucket(bucket), key, value)
                pipeline.pexpire(_bucket(bucket), self._ttl_ms)
                pipeline.zadd(_owner(owner), {f"{bucket}:{key}": now})
                pipeline.pexpire(_owner(owner), self._ttl_ms)
                pipeline.zcard(_owner(owner))
                pipeline.zcount(_owner(owner), "-inf", now - self._ttl_s)
                *_, held, ended = await pipeline.execute()
            over = max(held - self._max_entries, ended)
            if over > 0:
                await self._drop_oldest(redis, owner, over)

        await self._link.ask(add)

    async def forget(self, owner: str, bucket: str, keys: list[str]) -> None:
        """Drop them."""

        async def forget(redis: Any) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                pipeline.hdel(_bucket(bucket), *keys)
                pipeline.zrem(_owner(owner), *(f"{bucket}:{key}" for key in keys))
                await pipeline.execute()

        if keys:
            await self._link.ask(forget)

    async def close(self) -> None:
        """Close the link's connections."""
        await self._link.close()

    async def _drop_oldest(self, redis: Any, owner: str, count: int) -> None:
        oldest = await redis.zpopmin(_owner(owner), count)
        if not oldest:
            return
        async with redis.pipeline(transaction=False) as pipeline:
            for member, _ in oldest:
                bucket, _, key = member.decode().rpartition(":")
                pipeline.hdel(_bucket(bucket), key)
            await pipeline.execute()


def _bucket(name: str) -> str:
    return f"{PREFIX}asked:{name}"


def _owner(owner: str) -> str:
    return f"{PREFIX}owner:{owner}"
