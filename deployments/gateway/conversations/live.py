"""An answer on its way in this process: its newest events, who reads them, and how it is told to stop."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from cluster.errors import HeliostatError
from cluster.stores.stream_journal import Ending, Progress

FIRST_DELTA = 2  # event 1 is the session itself


class Live:
    """One session's events. A delta's id is one more than that of the delta before it.

    buffered: deltas that are kept for readers. Those that are not stored yet are kept beyond that, and `room`
    waits for the store, so that memory is bounded where the database is slow.
    """

    def __init__(self, session_id: str, *, buffered: int) -> None:
        self.id = session_id
        self.tokens = 0
        self.over = False  # nothing will be written of it any more
        self.error: HeliostatError | None = None
        self.ending: Ending | None = None
        self.stop_reason: str | None = None
        self.stop_error: HeliostatError | None = None
        self.cut = False  # the generation did not end by itself
        self._buffered = buffered
        self._texts: deque[str] = deque()
        self._first = FIRST_DELTA  # the id of the oldest that is kept
        self._stored = FIRST_DELTA - 1
        self._news = asyncio.Event()
        self._readers = 0
        self._alone_since: float | None = asyncio.get_running_loop().time()
        self._scope: asyncio.Timeout | None = None

    @property
    def last(self) -> int:
        """The id of the newest event."""
        return self._first + len(self._texts) - 1

    def add(self, text: str, tokens: int) -> None:
        """A delta came."""
        self._texts.append(text)
        self.tokens += tokens
        self._tell()

    def after(self, event_id: int) -> list[tuple[int, str]] | None:
        """The deltas past an id; None where some of them are no longer kept, and are in the store."""
        skipped = event_id + 1 - self._first
        if skipped < 0:
            return None
        return [(self._first + at, self._texts[at]) for at in range(skipped, len(self._texts))]

    def unstored(self) -> Progress | None:
        """What the store does not have; None where that is nothing."""
        first = max(self._stored + 1, self._first)
        texts = [self._texts[at] for at in range(first - self._first, len(self._texts))]
        if not texts and self.ending is None:
            return None
        return Progress(session_id=self.id, first=first, texts=texts, tokens=self.tokens, ending=self.ending)

    def stored(self, progress: Progress) -> None:
        """The store has this; what is too old for the buffer goes."""
        self._stored = progress.first + len(progress.texts) - 1
        while len(self._texts) > self._buffered and self._first <= self._stored:
            self._texts.popleft()
            self._first += 1
        self._tell()

    async def begun(self, within_s: float) -> None:
        """Wait until there is a first delta, or the end, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.last < FIRST_DELTA and not self.over:
                    await self.news()

    async def room(self) -> None:
        """Wait until there is room for another delta."""
        while self.last - self._stored >= self._buffered and not self.over:
            await self.news()

    def end(self) -> None:
        """Nothing more comes: the store has the rest."""
        self.over = True
        self._tell()

    async def news(self) -> None:
        """Wait until anything above has changed."""
        await self._news.wait()

    def stop(self, reason: str, error: HeliostatError | None = None) -> None:
        """End the generation as soon as possible, with an error where there is one; the first reason counts."""
        if self.stop_reason is not None or self.over:
            return
        self.stop_reason, self.stop_error = reason, error
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def generating(self, timeout_s: float) -> AsyncIterator[None]:
        """What runs inside can be stopped. It is cut short then, or when the time is over, and raises something."""
        async with asyncio.timeout(0 if self.stop_reason else timeout_s) as scope:
            self._scope = scope
            try:
                yield
            finally:
                self.cut = scope.expired()
                self._scope = None

    @contextmanager
    def read(self) -> Iterator[None]:
        """Somebody reads it."""
        self._readers += 1
        self._alone_since = None
        try:
            yield
        finally:
            self._readers -= 1
            if self._readers == 0:
                self._alone_since = asyncio.get_running_loop().time()

    @property
    def alone_s(self) -> float:
        """For how long nobody has read it here, in seconds."""
        return 0.0 if self._alone_since is None else asyncio.get_running_loop().time() - self._alone_since

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
