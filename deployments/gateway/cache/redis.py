"""The cache in Redis, which several gateways share.

Redis bounds its own memory: give it `maxmemory` and `maxmemory-policy allkeys-lru`. It is not the Redis of
`stores.redis`, where Ray's state must never be evicted.
"""

import logging
from collections.abc import Callable
from time import monotonic

logger = logging.getLogger(__name__)

PREFIX = "heliostat:cache:"
PATIENCE_S = 0.25  # a cache that takes longer than that helps nobody
PAUSE_S = 5.0  # a Redis that is away is not asked again for that long, or every request would wait for it


class RedisStore:
    """Answers in Redis. While Redis is away everything is a miss."""

    def __init__(
        self, url: str, *, max_entry_bytes: int, ttl_s: float, clock: Callable[[], float] = monotonic
    ) -> None:
        from redis.asyncio import Redis

        # Nothing is tried again: the model's answer is the other try.
        self._redis = Redis.from_url(
            url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None, retry_on_timeout=False
        )
        self._max_entry_bytes = max_entry_bytes
        self._ttl_ms = max(1, int(ttl_s * 1000))
        self._clock = clock
        self._away_until = float("-inf")

    async def get(self, keys: list[str]) -> list[bytes | None]:
        """What is stored under each key; nothing while Redis is away."""
        from redis.exceptions import RedisError

        if keys and self._clock() >= self._away_until:
            try:
                found = await self._redis.mget([PREFIX + key for key in keys])
                return [value if isinstance(value, bytes) and value else None for value in found]
            except (RedisError, OSError, TimeoutError) as error:
                self._away(error)
        return [None] * len(keys)

    async def put(self, values: dict[str, bytes]) -> None:
        """Store them, for as long as the settings say."""
        from redis.exceptions import RedisError

        if self._clock() < self._away_until:
            return
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key, value in values.items():
                    if len(value) <= self._max_entry_bytes:
                        pipeline.set(PREFIX + key, value, px=self._ttl_ms)
                await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._away(error)

    async def close(self) -> None:
        """Close its connections."""
        await self._redis.aclose()

    def _away(self, error: Exception) -> None:
        self._away_until = self._clock() + PAUSE_S
        logger.warning("the cache's Redis does not answer, going on without: %s", type(error).__name__)
