"""The database as the conversations' routes see it: opened by the first of them, asked in a thread."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from cluster.settings.tree import Settings
from cluster.stores.conversations import Conversations
from cluster.stores.database import now, open_database
from cluster.stores.stream_journal import StreamJournal, settle
from cluster.stores.stream_sessions import StreamSessions

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """The stores of one database."""

    conversations: Conversations
    sessions: StreamSessions
    journal: StreamJournal
    settle: Callable[[str], None]


class Records:
    """The stores of one gateway process."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.database_url
        self._lost_after = timedelta(seconds=settings.conversations.lost_after_s)
        self._gateway = uuid.uuid4().hex
        self._stores: Stores | None = None
        self._opening = asyncio.Lock()

    async def do(self, work: Callable[[Stores], Result], *, settled: str | None = None) -> Result:
        """What `work` makes of the stores. settled: an owner whose dead sessions are ended before."""
        stores = await self._open()

        def done() -> Result:
            if settled is not None:
                stores.settle(settled)
            return work(stores)

        return await asyncio.to_thread(done)

    async def _open(self) -> Stores:
        async with self._opening:
            if self._stores is None:
                self._stores = await asyncio.to_thread(self._opened)
        return self._stores

    def _opened(self) -> Stores:
        engine = open_database(self._url)
        return Stores(
            conversations=Conversations(engine),
            sessions=StreamSessions(engine),
            journal=StreamJournal(engine, self._gateway),
            settle=lambda owner: settle(engine, owner=owner, before=now() - self._lost_after),
        )

    @property
    def gateway(self) -> str:
        """The id of this process among those that share the database."""
        return self._gateway
