"""Rows on their way to disk: a part when enough have gathered, or when the first has waited long enough."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

FLUSH_S = 2.0  # what a kill can cost: the answers of the last two seconds


class Store(Protocol):
    """Where parts go: `cluster.stores.runs.Run`."""

    def write(self, rows: list[Mapping[str, Any]], *, session: str, block: int) -> object:
        """Store rows as one file."""
        ...


class BlockWriter:
    """Gathers the rows of one block. size: rows of a part at most. An async context; its end writes the rest."""

    def __init__(self, store: Store, *, session: str, block: int, size: int, flush_s: float = FLUSH_S) -> None:
        self._store = store
        self._session = session
        self._block = block
        self._size = size
        self._flush_s = flush_s
        self._rows: list[Mapping[str, Any]] = []
        self._writing = asyncio.Lock()
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "BlockWriter":
        self._clock = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._clock is not None
        self._clock.cancel()
        with suppress(asyncio.CancelledError):
            await self._clock
        await self.flush()

    async def add(self, row: Mapping[str, Any]) -> None:
        """Take one row. Raises Superseded when the session is over."""
        self._rows.append(row)
        if len(self._rows) >= self._size:
            await self.flush()
        elif self._clock is not None and self._clock.done():
            self._clock.result()  # a flush by the clock failed: its error belongs to whoever adds next

    async def flush(self) -> None:
        """Write what there is."""
        async with self._writing:
            while self._rows:
                part, self._rows = self._rows[: self._size], self._rows[self._size :]
                await self._write(part)

    async def _write(self, part: list[Mapping[str, Any]]) -> None:
        writing = asyncio.ensure_future(
            asyncio.to_thread(self._store.write, part, session=self._session, block=self._block)
        )
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            # Its thread goes on: whoever reads after this block must find the part.
            await asyncio.wait({writing})
            writing.exception()  # a cell that was not stored runs again; asking keeps asyncio from telling of it
            raise

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._flush_s)
            await self.flush()
