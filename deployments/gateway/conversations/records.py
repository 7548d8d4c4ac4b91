"""The database as the conversations' routes see it: asked in a thread."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from sqlalchemy import Engine

from cluster.settings.tree import Settings
from cluster.stores.conversations import Conversations
from cluster.stores.database import now
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

    def __init__(self, engine: Engine, settings: Settings) -> None:
        lost_after = timedelta(seconds=settings.conversations.lost_after_s)
        self._gateway = uuid.uuid4().hex
        self._stores = Stores(
            conversations=Conversations(engine),
            sessions=StreamSessions(engine),
            journal=StreamJournal(engine, self._gateway),
            settle=lambda owner: settle(engine, owner=owner, before=now() - lost_after),
        )

    async def do(self, work: Callable[[Stores], Result], *, settled: str | None = None) -> Result:
        """What `work` makes of the stores. settled: an owner whose dead sessions are ended before."""

        def done() -> Result:
            if settled is not None:
                self._stores.settle(settled)
            return work(self._stores)

        return await asyncio.to_thread(done)

    @property
    def gateway(self) -> str:
        """The id of this process among those that share the database."""
        return self._gateway
