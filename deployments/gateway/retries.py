"""Models are asked here: timed, and asked again where a replica was lost before its first byte, within a budget.

Only an `Unavailable` is tried again: nobody began to answer, or whoever did is dead. A full queue (Overloaded)
would only fill more, a request that breaks an engine (EngineFailure) may break the next, and after the first
byte a second answer would not go on where the first ended. What is left of a failure after the tries counts in
the model's breaker, which refuses a request before its first try.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager
from time import monotonic
from typing import Any, TypeVar, cast

from cluster.errors import EngineDead, LoadFailed, ModelLoading, NoRoom, Unavailable
from deployments.gateway import timing
from deployments.gateway.metrics import Metrics, NoMetrics
from deployments.gateway.routing.breakers import Breakers
from deployments.gateway.routing.event_log import EventLog

Answer = TypeVar("Answer")

TRIES = 3  # the first and two more
BACKOFF_S = 0.05  # before the second try; twice that before the third
DEAD_BACKOFF_S = 0.4  # the same after a dead engine: until then its replica has ended, and nobody is sent there
JITTER = 0.5  # of the backoff, up and down: replicas that were lost together are not asked again together


class RetryBudget:
    """How many tries again the traffic of a sliding window allows, so that retries cannot keep a cluster down.

    share: of the requests in the window. floor: tries that are always allowed in a window, or a gateway with
    little traffic could never try again. Requests that run are allowed one try in a window, however long ago
    they came: a replica that dies takes down all that it held. Pure: time is an argument, in seconds of any clock.
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

    def take(self, now: float, *, running: int = 0) -> bool:
        """Whether one more try is allowed; it is counted when it is. running: requests that are being answered."""
        self._drop(now)
        floor = max(self._floor, running) if self._floor else 0
        allowed = len(self._retries) < max(floor, int(self._share * len(self._requests)))
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
        breakers: Breakers | None = None,
        events: EventLog | None = None,
    ) -> None:
        """chance: a number in [0, 1). lost: told of each model that lost a replica."""
        self._budget = budget or RetryBudget()
        self._metrics = metrics or NoMetrics()
        self._clock = clock
        self._chance = chance
        self._lost = lost
        self._breakers = breakers or Breakers()
        self._events = events
        self._running = 0

    async def whole(self, model: str, ask: Callable[[], Awaitable[Answer]], *, timed: bool = True) -> Answer:
        """What `ask` returns, of the first try that is not lost. Raises what the last one raised.

        timed: whether it is what the request came for, and not something on the way to it.
        """
        if not timed:
            return await self._tried(model, ask, None)
        with self._breakers.asking(model), self._counted():
            return await self._tried(model, ask, self._asked(model))

    async def _tried(self, model: str, ask: Callable[[], Awaitable[Answer]], watch: timing.Timing | None) -> Answer:
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
        with self._breakers.asking(model) as asking, self._counted():
            watch = self._asked(model)
            tried = 1
            while True:
                async with aclosing(cast("AsyncGenerator[Any, None]", ask())) as items:
                    try:
                        first = await anext(items, None)
                    except Unavailable as error:
                        failure = error
                    else:
                        asking.answered()
                        if watch is not None:
                            watch.answered()
                        if first is not None:
                            yield first
                            async for item in items:
                                yield item
                        return
                await self._pause(model, tried, failure)
                tried += 1

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    def _asked(self, model: str) -> timing.Timing | None:
        self._budget.asked(self._clock())
        watch = timing.current()
        if watch is not None:
            watch.asked(model)
        return watch

    async def _pause(self, model: str, tried: int, error: Unavailable) -> None:
        """Wait before the next try; raise the error where there is none."""
        if isinstance(error, ModelLoading | NoRoom | LoadFailed):
            raise error  # no replica was lost: there is none, and the fleet has waited for one
        self._lost(model)
        if tried == TRIES or not error.retryable:
            outcome = "no_tries"
        elif not self._budget.take(self._clock(), running=self._running):
            outcome = "no_budget"
        else:
            outcome = "tried_again"
        self._metrics.retried(model, outcome=outcome)
        spread = 1 + JITTER * (2 * self._chance() - 1)
        base_s = DEAD_BACKOFF_S if isinstance(error, EngineDead) else BACKOFF_S
        wait_s = base_s * 2 ** (tried - 1) * spread
        if self._events is not None:
            again = {"wait_s": round(wait_s, 3)} if outcome == "tried_again" else {}
            self._events.record("retry", model, outcome, error=error.code, tried=tried, **again)
        if outcome != "tried_again":
            raise error
        await asyncio.sleep(wait_s)
