"""Things that were looked up a moment ago, kept for a few seconds so that the next request needs no look-up."""

import asyncio
import copy
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Generic, TypeVar

from cluster.errors import HeliostatError

Found = TypeVar("Found")

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class _Kept(Generic[Found]):
    found: Found | HeliostatError
    renewal: float  # when, by the monotonic clock, it is looked up again while it still serves
    end: float


class Recently(Generic[Found]):
    """What a look-up found, or the error that it raised, for `believed_s` seconds.

    A thing that is asked for all the time is looked up again at half of that, beside the requests: none of them
    waits. Of many that ask at once for what is not there, one looks it up. For one event loop only.
    """

    def __init__(self, *, believed_s: float, size: int = 10_000, clock: Callable[[], float] = monotonic) -> None:
        self._believed_s = believed_s
        self._size = size
        self._clock = clock
        self._good: OrderedDict[Hashable, _Kept[Found]] = OrderedDict()
        # Apart, so that a flood of wrong keys cannot push the right ones out.
        self._bad: OrderedDict[Hashable, _Kept[Found]] = OrderedDict()
        self._running: dict[Hashable, asyncio.Task[Found]] = {}
        self._tasks: set[asyncio.Task[Found]] = set()  # the event loop holds tasks weakly

    def get(self, key: Hashable, look_up: Callable[[], Awaitable[Found]]) -> Found | None:
        """What is known without waiting; None where nothing is. Raises the error that the look-up raised."""
        kept = self._good.get(key) or self._bad.get(key)
        if kept is None:
            return None
        moment = self._clock()
        if moment >= kept.end:
            return None
        if isinstance(kept.found, HeliostatError):
            raise copy.copy(kept.found)  # one of its own for each: raising changes it
        if moment >= kept.renewal and key not in self._running:
            self._start(key, look_up)
        return kept.found

    async def find(self, key: Hashable, look_up: Callable[[], Awaitable[Found]]) -> Found:
        """What is known, or else what the look-up finds. Raises what it raises."""
        known = self.get(key, look_up)
        if known is not None:
            return known
        task = self._running.get(key) or self._start(key, look_up)
        return await asyncio.shield(task)  # one that hangs up does not take it from the others

    def forget(self) -> None:
        """Look everything up again: rights have changed. What is being looked up now is not kept."""
        self._good.clear()
        self._bad.clear()
        self._running.clear()

    def _start(self, key: Hashable, look_up: Callable[[], Awaitable[Found]]) -> "asyncio.Task[Found]":
        began = self._clock()
        task = asyncio.ensure_future(_awaited(look_up))
        self._running[key] = task
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._finish(key, done, began))
        return task

    def _finish(self, key: Hashable, task: "asyncio.Task[Found]", began: float) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if self._running.get(key) is not task:
            return
        del self._running[key]
        if task.cancelled():
            return
        if error is None:
            self._keep(self._good, key, task.result(), began)
            self._bad.pop(key, None)
        elif isinstance(error, HeliostatError) and not error.retryable:
            self._keep(self._bad, key, copy.copy(error), began)  # without its frames
            self._good.pop(key, None)
        else:
            logger.warning("a credential could not be looked up", exc_info=error)

    def _keep(
        self,
        shelf: "OrderedDict[Hashable, _Kept[Found]]",
        key: Hashable,
        found: Found | HeliostatError,
        began: float,
    ) -> None:
        shelf[key] = _Kept(found=found, renewal=began + self._believed_s / 2, end=began + self._believed_s)
        shelf.move_to_end(key)
        if len(shelf) > self._size:
            shelf.popitem(last=False)


async def _awaited(look_up: Callable[[], Awaitable[Found]]) -> Found:
    return await look_up()
