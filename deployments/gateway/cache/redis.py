"""The cache in Redis, which several gateways share.

Redis bounds its own memory: give it `maxmemory` and `maxmemory-policy allkeys-lru`. It is not the Redis of
`stores.redis`, where Ray's state must never be evicted.
"""

from typing import Any

from deployments.gateway.cache.redis_link import PREFIX, RedisLink


class RedisStore:
    """Answers in Redis. While Redis is away everything is a miss."""

    def __init__(self, link: RedisLink, *, max_entry_bytes: int, ttl_s: float) -> None:
        self._link = link
        self._max_entry_bytes = max_entry_bytes
        self._ttl_ms = max(1, int(ttl_s * 1000))

    async def get(self, keys: list[str]) -> list[bytes | None]:
        """What is stored under each key; nothing while Redis is away."""
        found = await self._link.ask(lambda redis: redis.mget([PREFIX + key for key in keys])) if keys else None
        if found is None:
            return [None] * len(keys)
        return [value if isinstance(value, bytes) and value else None for value in found]

    async def put(self, values: dict[str, bytes]) -> None:
        """Store them, for as long as the settings say."""

        async def put(redis: Any) -> None:
            async with redis.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    if len(value) <= self._max_entry_bytes:
                        pipeline.set(PREFIX + key, value, px=self._ttl_ms)
                await pipeline.execute()

        await self._link.ask(put)

    async def close(self) -> None:
        """Close the link's connections."""
        await self._link.close()
