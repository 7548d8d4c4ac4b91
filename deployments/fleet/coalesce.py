"""From one event a token to fewer, larger chunks: what a stream costs is counted in items, not bytes."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator


class Coalescer:
    """Joins the events of a replica's streams, as much as its load asks for.

    The first event of a stream leaves at once. After it a chunk leaves when the stream's share of the
    replica's item budget allows: with one stream that is practically every token, with 64 streams several
    tokens share a chunk. Serve moves about 1.5 to 2 thousand items a second on two cores: this
    leaves most of them to the engine.
    """

    def __init__(self, *, max_events: int, items_per_s: float = 500.0) -> None:
        self._max_events = max_events
        self._item_s = 1.0 / items_per_s
        self._streams = 0

    @property
    def streams(self) -> int:
        """How many streams are open now."""
        return self._streams

    async def join(self, events: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The same bytes in the same order, in fewer items. Closing it closes `events`."""
        self._streams += 1
        backlog = _Backlog()
        pump = asyncio.ensure_future(_pump(events, backlog))
        try:
            while (chunk := await backlog.take(self._max_events)) is not None:
                yield chunk
                # The pause is the stream's share of the budget; a finished stream waits for nobody.
                await backlog.finished_within(self._streams * self._item_s)
            await pump
        finally:
            self._streams -= 1
            pump.cancel()
            await asyncio.wait({pump})


class _Backlog:
    """Events that wait to leave; filled by one task, emptied by another."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._arrived = asyncio.Event()
        self._finished = asyncio.Event()

    def put(self, event: bytes) -> None:
        self._events.append(event)
        self._arrived.set()

    def finish(self) -> None:
        self._finished.set()
        self._arrived.set()

    async def take(self, limit: int) -> bytes | None:
        """What waits, at most `limit` events, as one item; None at the end."""
        await self._arrived.wait()
        taken, self._events = self._events[:limit], self._events[limit:]
        if not self._events and not self._finished.is_set():
            self._arrived.clear()
        return b"".join(taken) if taken else None

    async def finished_within(self, seconds: float) -> None:
        """Wait for that long, or until the last event has arrived."""
        if self._finished.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._finished.wait()
        except TimeoutError:
            return


async def _pump(events: AsyncIterator[bytes], backlog: _Backlog) -> None:
    try:
        async for event in events:
            backlog.put(event)
    finally:
        backlog.finish()
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
