"""One task a process that stores the text of all its running answers, several times a second in one transaction.

The same transaction sees what others wish: a session to be stopped, or one that is taken for dead.
"""

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from contextvars import Context

from cluster.settings.apis import ConversationSettings
from cluster.stores.database import now
from cluster.stores.stream_journal import Ending, Standing
from deployments.gateway.conversations.live import Live
from deployments.gateway.conversations.records import Records

logger = logging.getLogger(__name__)

CLIENT_DISCONNECTED = "client_disconnected"
TAKEN_AWAY = "taken_away"  # its conversation was deleted, or this gateway was taken for dead
SIGNS_OF_LIFE = 5  # in the time after which a gateway counts as dead


class Recorder:
    """Stores what `Live` sessions say until they end. The task runs while there are any."""

    def __init__(self, records: Records, settings: ConversationSettings) -> None:
        self._records = records
        self._settings = settings
        self._lives: dict[str, Live] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._signed_at = 0.0  # when the last sign of life was written; 0: none yet

    @property
    def lives(self) -> Collection[Live]:
        """The sessions that run here."""
        return tuple(self._lives.values())

    def find(self, session_id: str) -> Live | None:
        """A session that runs here."""
        return self._lives.get(session_id)

    def add(self, live: Live) -> None:
        """Store what it says from now on."""
        self._lives[live.id] = live
        if self._task is None or self._task.done():
            self._wake = asyncio.Event()  # of this event loop: in tests there are several
            self._task = asyncio.create_task(self._run(), context=Context())

    async def end(self, live: Live, ending: Ending) -> None:
        """Store its end; returns when that is done, or when it turns out not to be this gateway's any more."""
        live.ending = ending
        self._wake.set()
        while not live.over:
            await live.news()

    async def _run(self) -> None:
        while self._lives:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.flush_ms / 1000):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self._write()
            except Exception:  # whatever a driver raises: who waits for an answer's end waits for this task
                # Tried again; meanwhile `Live.room` holds the generations back.
                logger.warning("running answers could not be stored; trying again", exc_info=True)
                await asyncio.sleep(self._settings.flush_ms / 1000)
                self._wake.set()

    async def _write(self) -> None:
        lives = dict(self._lives)
        progress = [news for live in lives.values() if (news := live.unstored()) is not None]
        time = asyncio.get_running_loop().time()
        due = time - self._signed_at >= self._settings.lost_after_s / SIGNS_OF_LIFE
        alive = tuple(lives) if due else ()
        standings = await self._records.do(lambda stores: stores.journal.write(progress, alive=alive))
        if due:
            self._signed_at = time
        for news in progress:
            lives[news.session_id].stored(news)
        for live in lives.values():
            standing = standings.get(live.id)
            if standing is None:
                live.stop(TAKEN_AWAY)  # nothing to stop where it has just ended
                live.end()
                del self._lives[live.id]
            else:
                self._heed(live, standing)

    def _heed(self, live: Live, standing: Standing) -> None:
        grace_s = self._settings.resume_grace_s
        if standing.stop_reason is not None:
            live.stop(standing.stop_reason)
        elif live.alone_s > grace_s:
            watched = standing.watched_at
            if watched is None or (now() - watched).total_seconds() > grace_s:
                live.stop(CLIENT_DISCONNECTED)
