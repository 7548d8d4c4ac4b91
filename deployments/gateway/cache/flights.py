"""Requests that ask the same at the same time share one generation.

A flight is one generation and all who follow it. It runs in a task of its own, which belongs to none of them: who
began it may leave, and the others still get its answer; the last one that leaves stops it. Whole answers and
streams both fly, each with those that ask for the same form: a stream is handed on as it comes, from its
beginning, so whoever joins late waits no longer for a first token than whoever was there before.

A flight lands when what it made is stored, so there is no moment in between in which the same is generated again.
Where it fails, whoever began it has its error; each of the others, where it has not been given anything yet, asks
for itself.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

FOLLOWERS = 256  # of one flight; who comes then asks for itself


class Flight:
    """One generation. kind: what its answer is to whoever began it; whoever makes it may set it.

    private: its answer is only for whoever began it.
    """

    def __init__(
        self, make: Callable[["Flight"], AsyncGenerator[bytes, None]], landed: Callable[[], Awaitable[None]]
    ) -> None:
        self.kind: str | None = None
        self.private = False
        self._make = make
        self._landed = landed
        self._items: list[bytes] = []
        self._passed = 0  # items before those, which everybody has
        self._size = 0
        self._places: dict[object, int] = {}  # of each follower, the item that is next
        self._news = asyncio.Event()  # replaced with each item
        self._read = asyncio.Event()
        self.complete = False
        self._task: asyncio.Task[None] | None = None
        self._max_bytes = 0
        self._depart: Callable[[], None] = lambda: None

    def begin(self, *, max_bytes: int, depart: Callable[[], None]) -> "asyncio.Task[None]":
        """Start it. max_bytes: that it keeps for newcomers. depart: called once newcomers are too late."""
        self._max_bytes = max_bytes
        self._depart = depart
        self._task = asyncio.get_running_loop().create_task(self._fly())
        self._task.add_done_callback(self._over)
        return self._task

    @property
    def followers(self) -> int:
        """How many wait for it."""
        return len(self._places)

    @property
    def failure(self) -> BaseException:
        """Why it is over and not complete."""
        assert self._task is not None
        error = None if self._task.cancelled() else self._task.exception()
        return error or asyncio.CancelledError()

    async def follow(self) -> AsyncGenerator[bytes, None]:
        """All that it makes, from the beginning. It ends, too, where the flight fails: look at `complete`."""
        me, place = object(), 0
        self._places[me] = place
        try:
            while True:
                if place < self._passed + len(self._items):
                    item = self._items[place - self._passed]
                    place += 1
                    self._places[me] = place
                    self._read.set()
                    yield item
                elif self._ended:
                    return
                else:
                    await self._news.wait()
        finally:
            del self._places[me]
            self._read.set()
            if not self._places and not self._ended:
                await self._abandon()

    @property
    def _ended(self) -> bool:
        return self.complete or (self._task is not None and self._task.done())

    async def _fly(self) -> None:
        async with aclosing(self._make(self)) as items:
            async for item in items:
                await self._take(item)
        self.complete = True
        self._wake()
        await self._landed()

    async def _take(self, item: bytes) -> None:
        self._items.append(item)
        self._size += len(item)
        self._wake()
        if self._size <= self._max_bytes:
            return
        # Too much to keep: no newcomers, and from now on it goes as fast as its slowest follower reads.
        self._depart()
        made = self._passed + len(self._items)
        while self._places and min(self._places.values()) < made:
            self._read.clear()
            await self._read.wait()
        self._passed = made
        self._items.clear()

    async def _abandon(self) -> None:
        assert self._task is not None
        self._depart()
        self._task.cancel()
        await asyncio.wait({self._task})  # nobody returns before the generation has stopped

    def _over(self, task: "asyncio.Task[None]") -> None:
        self._depart()
        self._wake()
        if not task.cancelled():
            task.exception()  # it is told to those who follow; where there are none, to nobody

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class Flights:
    """The flights of one gateway, by name. max_bytes: that each keeps for newcomers."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._flights)

    def find(self, name: str) -> Flight | None:
        """The flight of that name, where one is under way."""
        return self._flights.get(name)

    def begin(
        self,
        name: str,
        make: Callable[[Flight], AsyncGenerator[bytes, None]],
        landed: Callable[[], Awaitable[None]],
    ) -> Flight:
        """A new flight of what `make` yields. landed: returns when what it made is stored."""
        flight = self._flights[name] = Flight(make, landed)

        def depart() -> None:
            if self._flights.get(name) is flight:
                del self._flights[name]

        task = flight.begin(max_bytes=self._max_bytes, depart=depart)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def settled(self) -> None:
        """Wait until all that is under way is over."""
        if self._tasks:
            await asyncio.wait(self._tasks)
