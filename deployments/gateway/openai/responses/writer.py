"""Writes that go to the database together: those that come during a commit wait, and share the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from cluster.stores.responses import Ending, StoredResponse

Change = StoredResponse | Ending


class Writer:
    """Writes changes in the order they came. commit: writes some, all or none, and says which changed anything."""

    def __init__(self, commit: Callable[[Sequence[Change]], Awaitable[list[bool]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[Change, asyncio.Future[bool]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def write(self, change: Change) -> bool:
        """Whether it changed anything, once that is stored. It is written even if the caller is cancelled."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        return await done

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting, []
                await self._write(batch)
        finally:
            self._writing = None

    async def _write(self, batch: Sequence[tuple[Change, asyncio.Future[bool]]]) -> None:
        try:
            changed = await self._commit([change for change, _ in batch])
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait, and the next ones may go well
            for _, done in batch:
                if not done.done():
                    done.set_exception(error)
        else:
            for (_, done), result in zip(batch, changed, strict=True):
                if not done.done():
                    done.set_result(result)
