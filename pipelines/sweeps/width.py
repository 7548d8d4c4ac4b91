"""How many cells of a sweep are in flight: as many as allowed, fewer while a model says that it is full.

Halved when the model is overloaded, widened by one for each width of successes: what TCP does to a link. While
people use the model, too, it is narrow: they wait for a step of the engine, which is the longer the wider it is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

BESIDE_S = 5.0  # without word of people, until word of nobody counts: another replica may have them


class Width:
    """A semaphore whose size follows what it sees. most: never wider than that. beside: while people are there."""

    def __init__(self, most: int, beside: int | None = None, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._beside = most if beside is None else min(most, beside)
        self._clock = clock
        self._crowded = False
        self._until = float("-inf")
        self._now = most
        self._used = 0
        self._successes = 0
        self._generation = 0
        self._freed = asyncio.Condition()

    @property
    def now(self) -> int:
        """The present width."""
        return min(self._now, self._beside) if self._crowded else self._now

    @property
    def used(self) -> int:
        """Slots taken."""
        return self._used

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[int]:
        """Hold one slot. Gives the generation of the width, to hand to `narrow`."""
        async with self._freed:
            await self._freed.wait_for(lambda: self._used < self.now)
            self._used += 1
        try:
            yield self._generation
        finally:
            self._used -= 1
            async with self._freed:
                self._freed.notify_all()

    def people(self) -> None:
        """Somebody uses the model, too. Cells in flight end; those that wait look again at the end of each."""
        self._crowded = True
        self._until = self._clock() + BESIDE_S

    def nobody(self) -> None:
        """A cell began where nobody else is. Time alone widens nothing: a cell may outlast the word of people."""
        self._crowded = self._crowded and self._clock() < self._until

    def narrow(self, generation: int) -> None:
        """The model was full. Many cells of one generation say so at once: the width halves only once."""
        if generation == self._generation:
            self._generation += 1
            self._now = max(1, self._now // 2)
            self._successes = 0

    def widen(self) -> None:
        """A cell went through."""
        self._successes += 1
        if self._successes >= self._now and self._now < self._most:
            self._now += 1
            self._successes = 0
