"""From a thread that makes tokens to the event loop that sends them, and a halt the other way."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Sequence

from cluster.engines.completions import Delta
from cluster.engines.stopping import StopMatcher


class Relay:
    """One choice's text on its way. The thread calls `say` and then `end` or `fail`; the loop reads `deltas`.

    `halted` turns true when a stop string has appeared or nobody reads any more: the thread then ends soon.
    """

    def __init__(self, stops: Sequence[str], *, index: int) -> None:
        self._index = index
        self._matcher = StopMatcher(stops)
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._halt = threading.Event()

    @property
    def halted(self) -> bool:
        """Whether no more tokens are wanted."""
        return self._halt.is_set()

    def halt(self) -> None:
        """Want no more tokens."""
        self._halt.set()

    def say(self, text: str, *, tokens: int = 1) -> None:
        """New text, and how many tokens it took; text may be empty."""
        if self.halted:
            return
        shown = self._matcher.push(text)
        if self._matcher.stopped:
            self._halt.set()
        self._put(Delta(index=self._index, text=shown, tokens=tokens))

    def end(self, reason: str) -> None:
        """No more text comes. reason: `stop` or `length`, unless a stop string has appeared."""
        text, met = self._matcher.flush(), self._matcher.met
        self._put(Delta(index=self._index, text=text, finish_reason=reason if met is None else "stop", met=met))

    def fail(self, error: Exception) -> None:
        """No more text comes, for this reason."""
        self._put(error)

    async def deltas(self) -> AsyncGenerator[Delta, None]:
        """What the thread said, up to the finish reason. Raises what `fail` was given."""
        while True:
            said = await self._queue.get()
            if isinstance(said, Exception):
                raise said
            yield said
            if said.finish_reason is not None:
                return

    def _put(self, said: Delta | Exception) -> None:
        self._loop.call_soon_threadsafe(self._queue.put_nowait, said)
