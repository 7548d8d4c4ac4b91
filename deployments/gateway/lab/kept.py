"""What was computed once, while what it was computed from is the same.

Statistics of 100,000 rows take seconds, and pages ask for them again and again. A value is kept by its key with the
state that it was made of. Of a run that grows, the value of a moment ago is told while the next one is made behind
it: its answer says of how many cells it is. Two that ask at once wait for one computation.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, TypeVar

Value = TypeVar("Value")

FRESH_S = 2.0  # for which a growing run's value is not made again
FACTOR = 10  # nor for so many times what it took: at most a tenth of a CPU goes into one page that is watched
OLD_S = 60.0  # a value of that age is told no more


@dataclass(frozen=True, slots=True)
class Entry:
    """One value. seconds: that it took. at: when it was made, by the monotonic clock."""

    state: str
    value: Any
    seconds: float
    at: float

    @property
    def age_s(self) -> float:
        """How old it is."""
        return time.monotonic() - self.at


class Kept:
    """The newest values of one gateway. most: how many; the longest unused go first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[Hashable, Entry] = OrderedDict()
        self._running: dict[Hashable, tuple[str, asyncio.Task[Any]]] = {}

    async def get(
        self,
        key: Hashable,
        state: str,
        make: Callable[[], Coroutine[Any, Any, Value]],
        *,
        growing: bool = False,
    ) -> Value:
        """The value of a state, or of a moment ago where it grows. Raises what `make` raises, which is not kept."""
        entry = self._entries.get(key)
        if entry is not None and (entry.state == state or (growing and entry.age_s < OLD_S)):
            self._entries.move_to_end(key)
            if entry.state != state and entry.age_s >= max(FRESH_S, FACTOR * entry.seconds):
                self._begin(key, state, make, growing=True)
            value: Value = entry.value
            return value
        # Who hangs up does not end it for the others, and its value is wanted again soon.
        made: Value = await asyncio.shield(self._begin(key, state, make, growing=growing))
        return made

    def _begin(
        self, key: Hashable, state: str, make: Callable[[], Coroutine[Any, Any, Any]], *, growing: bool
    ) -> "asyncio.Task[Any]":
        running = self._running.get(key)
        if running is not None and (running[0] == state or growing):
            return running[1]
        task = asyncio.create_task(self._make(key, state, make))
        self._running[key] = (state, task)
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    def _ended(self, key: Hashable, task: "asyncio.Task[Any]") -> None:
        running = self._running.get(key)
        if running is not None and running[1] is task:
            del self._running[key]
        if not task.cancelled():
            task.exception()  # whoever waits is told; where nobody does, the next one asks again

    async def _make(self, key: Hashable, state: str, make: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        begun = time.monotonic()
        value = await make()
        now = time.monotonic()
        self._entries[key] = Entry(state=state, value=value, seconds=now - begun, at=now)
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return value
