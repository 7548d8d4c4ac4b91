"""Several streams as one, as their items come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")


class _End(Generic[Item]):
    """The last word of one stream. error: why it ended early."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


async def merged(sources: Sequence[AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
    """The items of all, in the order of their arrival. The first failure ends them all; so does closing this.

    One stream alone is read in the caller's own task.
    """
    if len(sources) == 1:
        try:
            async for item in sources[0]:
                yield item
        finally:
            await sources[0].aclose()
        return
    queue: asyncio.Queue[Item | _End[Item]] = asyncio.Queue(maxsize=len(sources))
    tasks = [asyncio.ensure_future(_pump(source, queue)) for source in sources]
    try:
        open_streams = len(sources)
        while open_streams:
            found = await queue.get()
            if not isinstance(found, _End):
                yield found
                continue
            open_streams -= 1
            if found.error is not None:
                raise found.error
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _pump(source: AsyncGenerator[Item, None], queue: "asyncio.Queue[Item | _End[Item]]") -> None:
    error: BaseException | None = None
    try:
        async for item in source:
            await queue.put(item)
    except Exception as raised:  # noqa: BLE001  # it is the reader's to handle
        error = raised
    finally:
        await source.aclose()
    await queue.put(_End(error))
