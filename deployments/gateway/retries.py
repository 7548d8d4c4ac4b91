"""Models are asked here: timed, and asked again where a replica was lost before its first byte, within a budget.

Only an `Unavailable` is tried again: nobody began to answer, or whoever did is dead. A full queue (Overloaded)
would only fill more, a request that breaks an engine (EngineFailure) may break the next, and after the first
byte a second answer would not go on where the first ended.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from time import monotonic
from typing import Any, TypeVar, cast

from cluster.errors import Unavailable
from deployments.gateway import timing
from deployments.gateway.metrics import Metrics, NoMetrics

Answer = TypeVar("Answer")

TRIES = 3  # the first and two more
BACKOFF_S = 0.05  # before the second try; twice that before the third
JITTER = 0.5  # of the backoff, up and down: replicas that were lost together are not asked again together


class RetryBudget:
    """How many tries again the traffic of a sliding window allows, so that retries cannot keep a cluster down.

    share: of the requests in the window. floor: tries that are always allowed in a window, or a gateway with
    little traffic could never try again. Pure: time is an argument, in seconds of any clock.
    """

    def __init__(self, *, share: float = 0.2, floor: int = 3, window_s: float = 10.0) -> None:
        self._share = share
        self._floor = floor
        self._window_s = window_s
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def asked(self, now: float) -> None:
        """A request came."""
        self._drop(now)
        self._requests.append(now)

    def take(self, now: float) -> bool:
        """Whether one more try is allowed; it is counted when it is."""
        self._drop(now)
        allowed = len(self._retries) < max(self._floor, int(self._share * len(self._requests)))
        if allowed:
            self._retries.append(now)
        return allowed

    def _drop(self, now: float) -> None:
        for moments in (self._requests, self._retries):
            while moments and moments[0] <= now - self._window_s:
                moments.popleft()


class Retries:
    """Carries tries out. One for each gateway: its models share the budget, as they share the cluster."""

    def __init__(
        self,
        *,
        budget: RetryBudget | None = None,
        metrics: Metrics | None = None,
        clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random.random,
        lost: Callable[[str], None] = lambda _: None,
    ) -> None:
        """chance: a number in [0, 1). lost: told of each model that lost a replica."""
        self._budget = budget or RetryBudget()
        self._metrics = metrics or NoMetrics()
        self._clock = clock
        self._chance = chance
        self._lost = lost

    async def whole(self, model: str, ask: Callable[[], Awaitable[Answer]], *, timed: bool = True) -> Answer:
        """What `ask` returns, of the first try that is not lost. Raises what the last one raised.

        timed: whether it is what the request came for, and not something on the way to it.
        """
        watch = self._asked(model) if timed else None
        tried = 1
        while True:
            try:
                answer = await ask()
                if watch is not None:
                    watch.answered()
                return answer
            except Unavailable as error:
                await self._pause(model, tried, error)
                tried += 1

    async def stream(self, model: str, ask: Callable[[], AsyncIterator[bytes]]) -> AsyncGenerator[bytes, None]:
        """The items of the first try that has one. After its first item nothing is tried again."""
        watch = self._asked(model)
        tried = 1
        while True:
            async with aclosing(cast("AsyncGenerator[Any, None]", ask())) as items:
                try:
                    first = await anext(items, None)
                except Unavailable as error:
                    failure = error
                else:
                    if watch is not None:
                        watch.answered()
                    if first is not None:
                        yield first
                        async for item in items:
                            yield item
                    return
            await self._pause(model, tried, failure)
            tried += 1

    def _asked(self, model: str) -> timing.Timing | None:
        self._budget.asked(self._clock())
        watch = timing.current()
        if watch is not None:
            watch.asked(model)
        return watch

    async def _pause(self, model: str, tried: int, error: Unavailable) -> None:
        """Wait before the next try; raise the error where there is none."""
        self._lost(model)
        if tried == TRIES or not error.retryable:
            self._metrics.retried(model, outcome="no_tries")
            raise error
        if not self._budget.take(self._clock()):
            self._metrics.retried(model, outcome="no_budget")
            raise error
        self._metrics.retried(model, outcome="tried_again")
        spread = 1 + JITTER * (2 * self._chance() - 1)
        await asyncio.sleep(BACKOFF_S * 2 ** (tried - 1) * spread)
