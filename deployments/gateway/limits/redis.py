"""Accounts in Redis, which several gateways count in together."""

import asyncio
import logging
import math
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from deployments.gateway.limits.account import Limited, Standing, Verdict
from deployments.gateway.limits.redis_scripts import RENEW, SETTLE, TAKE
from deployments.gateway.limits.store import StoreAway
from deployments.gateway.principal import Limits

logger = logging.getLogger(__name__)

ANSWER_S = 0.5  # a request waits no longer for Redis, which answers in a millisecond
LEASE_S = 30  # a place of a gateway that died is free again after so long
RENEWED_S = LEASE_S / 3
WARNED_S = 1.0  # between two lines in the log: every running request has the same to say
CONNECTIONS = 8  # tens of thousands of takes a second, and soon open
FAILURES = (RedisError, OSError, TimeoutError)


class RedisLimits:
    """Accounts by key. url: redis:// or rediss://. prefix: of its keys, for several clusters on one Redis."""

    def __init__(self, url: str, *, prefix: str = "heliostat:limits") -> None:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=ANSWER_S,
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 1),  # a connection that Redis closed meanwhile is opened again, once
        )
        self._redis: Any = Redis.from_pool(pool)
        self._prefix = prefix
        self._take = self._redis.register_script(TAKE)
        self._settle = self._redis.register_script(SETTLE)
        self._renew = self._redis.register_script(RENEW)
        self._leases: dict[str, set[str]] = {}  # running requests of keys that have a limit on them
        self._tasks: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None
        self._warned = -math.inf

    async def take(self, key: str, limits: Limits, *, tokens: int, lease: str) -> Verdict:
        """Take a request, tokens and a place: all, or nothing. Raises StoreAway.

        One that is cancelled here may have taken; its place is free again when the lease ends.
        """
        verdict = await self._ask(key, limits, tokens=tokens, lease=lease)
        if verdict.refused is None and limits.concurrent_requests is not None:
            self._leases.setdefault(key, set()).add(lease)
            if self._renewing is None or self._renewing.done():
                self._renewing = asyncio.create_task(self._keep_leases())
        return verdict

    def settle(self, key: str, limits: Limits, *, tokens: int, lease: str, requests: int = 0) -> None:
        """Give back the place, and what was taken and not used: in the background."""
        held = self._leases.get(key)
        if held is not None:
            held.discard(lease)
            if not held:
                del self._leases[key]
        work = self._settle(keys=self._keys(key), args=[*_numbers(limits), lease, requests, tokens])
        task = asyncio.create_task(self._quietly(work, "what a request used could not be settled"))
        self._tasks.add(task)  # the event loop holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def standing(self, key: str, limits: Limits) -> Standing:
        """What is left. Raises StoreAway."""
        return (await self._ask(key, limits, look=True)).standing

    async def close(self) -> None:
        """Wait for what is being settled, and close the connections."""
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._leases.clear()  # ends the renewing also where the client has swallowed its cancellation
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
        await self._redis.aclose()
        await self._redis.connection_pool.disconnect()

    async def _ask(
        self, key: str, limits: Limits, *, tokens: int = 0, lease: str = "", look: bool = False
    ) -> Verdict:
        try:
            async with asyncio.timeout(2 * ANSWER_S):
                answer = await self._take(
                    keys=self._keys(key), args=[*_numbers(limits), tokens, lease, LEASE_S, int(look)]
                )
        except FAILURES as error:
            raise StoreAway(f"{type(error).__name__}: {error}") from error
        return _verdict(limits, answer)

    async def _keep_leases(self) -> None:
        """Renew the places of what runs here, as long as anything does."""
        while self._leases:
            await asyncio.sleep(RENEWED_S)
            for key, leases in list(self._leases.items()):
                work = self._renew(keys=self._keys(key)[1:], args=[LEASE_S, *leases])
                await self._quietly(work, "the places of running requests could not be kept")

    async def _quietly(self, work: Coroutine[Any, Any, Any], failed: str) -> None:
        try:
            async with asyncio.timeout(2 * ANSWER_S):
                await work
        except FAILURES as error:
            if monotonic() - self._warned >= WARNED_S:
                self._warned = monotonic()
                logger.warning("%s: %s: %s", failed, type(error).__name__, error)

    def _keys(self, key: str) -> list[str]:
        # The braces put both on one node of a Redis cluster, where a script may use them together.
        return [f"{self._prefix}:{{{key}}}:used", f"{self._prefix}:{{{key}}}:running"]


def _numbers(limits: Limits) -> list[int]:
    bounds = (limits.requests_per_minute, limits.tokens_per_minute, limits.concurrent_requests)
    return [-1 if bound is None else bound for bound in bounds]


def _verdict(limits: Limits, answer: Sequence[bytes]) -> Verdict:
    refused, *numbers = (part.decode() for part in answer)
    wait_s, requests, tokens, requests_reset_s, tokens_reset_s = map(float, numbers)
    standing = Standing(
        limits=limits,
        requests=requests,
        tokens=tokens,
        requests_reset_s=requests_reset_s,
        tokens_reset_s=tokens_reset_s,
    )
    wait_s = math.inf if wait_s < 0 else wait_s
    return Verdict(standing=standing, refused=Limited(refused) if refused else None, wait_s=wait_s)
