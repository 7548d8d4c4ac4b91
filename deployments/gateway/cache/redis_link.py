"""One way to the cache's Redis, for all that is kept there: while Redis is away nobody waits for it."""

import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, TypeVar

Answer = TypeVar("Answer")

logger = logging.getLogger(__name__)

PREFIX = "heliostat:cache:"
PATIENCE_S = 0.25  # a cache that takes longer than that helps nobody
PAUSE_S = 5.0  # a Redis that is away is not asked again for that long, or every request would wait for it


class RedisLink:
    """Connections to one Redis. It connects to nothing before it is asked."""

    def __init__(self, url: str, *, clock: Callable[[], float] = monotonic) -> None:
        from redis.asyncio import Redis

        # Nothing is tried again: the model's answer is the other try.
        self._redis: Any = Redis.from_url(
            url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S, retry=None, retry_on_timeout=False
        )
        self._clock = clock
        self._away_until = float("-inf")

    async def ask(self, work: Callable[[Any], Awaitable[Answer]]) -> Answer | None:
        """What `work` returns, given the client; None while Redis is away."""
        from redis.exceptions import RedisError

        if self._clock() < self._away_until:
            return None
        try:
            return await work(self._redis)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock() + PAUSE_S
            logger.warning("the cache's Redis does not answer, going on without: %s", type(error).__name__)
            return None

    async def close(self) -> None:
        """Close its connections."""
        await self._redis.aclose()
