"""Stream sessions in the SQL database: answers on their way, so that any gateway can show, resume or stop one.

A session is written by the gateway that runs it, through `StreamJournal`; what others may do is here.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update
from sqlalchemy.schema import Column, ForeignKey, Index, Table
from sqlalchemy.types import Integer, String, Text

from cluster.errors import ConversationBusy, Overloaded, StreamSessionNotFound
from cluster.stores import conversations as talks
from cluster.stores.conversations import conversations, messages
from cluster.stores.database import OWNER, UtcTime, metadata, now, take_turns
from cluster.stores.sql_store import SqlStore

ACTIVE = "active"
USER, ASSISTANT = "user", "assistant"
BUSY_RETRY_S = 1.0

stream_sessions = Table(
    "stream_sessions",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("owner", String(OWNER), nullable=False),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", String(40), nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("gateway", String(40), nullable=False),  # which process runs it
    Column("created_at", UtcTime, nullable=False),
    Column("last_activity_at", UtcTime, nullable=False),  # also the sign that the gateway lives
    Column("watched_at", UtcTime),  # when another gateway last showed it to somebody
    Column("token_count", Integer, nullable=False),
    Column("last_event", Integer, nullable=False),
    Column("partial_response", Text, nullable=False),
    Column("stop_reason", String(64)),  # what somebody asked for
    Column("termination_reason", String(64)),
    Column("error_message", Text),
    Column("error_hint", Text),
    Index("stream_sessions_owner", "owner", "number"),
    Index("stream_sessions_running", "owner", "status"),
    Index("stream_sessions_gateway", "gateway", "status"),
    Index("stream_sessions_conversation", "conversation_id"),
)

stream_events = Table(
    "stream_events",
    metadata,
    Column("session_id", ForeignKey("stream_sessions.id", ondelete="CASCADE"), primary_key=True),
    Column("first", Integer, primary_key=True, autoincrement=False),
    Column("last", Integer, nullable=False),
    Column("texts", Text, nullable=False),  # JSON: the texts of the deltas first … last
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSession:
    """One answer, on its way or ended. last_event: the id of its last stored event; 1 is the session itself.

    token_count: exact once it has ended well, before that what is known to have come.
    """

    number: int
    id: str
    owner: str
    conversation_id: str
    message_id: str
    model: str
    provider: str
    status: str
    gateway: str
    created_at: datetime
    last_activity_at: datetime
    watched_at: datetime | None
    token_count: int
    last_event: int
    partial_response: str
    stop_reason: str | None
    termination_reason: str | None
    error_message: str | None
    error_hint: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What begins a session. content: JSON. title: the conversation's, where it has none.

    seen: the number of the last message that the prompt was made from, 0 for none.
    """

    conversation_id: str
    owner: str
    content: str
    model: str
    provider: str
    title: str
    seen: int


class StreamSessions(SqlStore):
    """The stream sessions of one database."""

    def begin(
        self, question: Question, *, ids: tuple[str, str, str], gateway: str, max_active: int, kept: int
    ) -> StreamSession:
        """Store a question, a place for its answer, and the session that answers. ids: of all three, in order.

        Raises ConversationNotFound, ConversationBusy, Overloaded.
        """
        asked, answered, session_id = ids
        moment = now()
        with self._engine.begin() as connection:
            take_turns(connection, stream_sessions.name, question.owner)
            # A write comes first: SQLite cannot turn a reading transaction into a writing one while others write.
            self._claim(connection, question, session_id, moment)
            self._bound(connection, question.owner, max_active, kept)
            both: dict[str, Any] = {"conversation_id": question.conversation_id, "created_at": moment}
            said = {"id": asked, "role": USER, "content": question.content, "status": talks.COMPLETED}
            made = {"model": question.model, "provider": question.provider}
            place = {"id": answered, "role": ASSISTANT, "content": '""', "status": talks.STREAMING, **made}
            connection.execute(insert(messages).values({**both, **said}))
            connection.execute(insert(messages).values({**both, **place}))
            row = {
                **both,
                **made,
                "id": session_id,
                "owner": question.owner,
                "message_id": answered,
                "status": ACTIVE,
                "gateway": gateway,
                "last_activity_at": moment,
                "token_count": 0,
                "last_event": 1,
                "partial_response": "",
            }
            connection.execute(insert(stream_sessions).values(row))
            query = select(stream_sessions).where(stream_sessions.c.id == session_id)
            return _read(connection.execute(query).one())

    def get(self, session_id: str, *, owner: str) -> StreamSession:
        """Raises StreamSessionNotFound."""
        row = self._row(select(stream_sessions).where(_owned(session_id, owner)))
        if row is None:
            raise unknown(session_id)
        return _read(row)

    def page(
        self, *, owner: str, status: str | None, conversation_id: str | None, limit: int, offset: int
    ) -> tuple[int, Sequence[StreamSession]]:
        """How many there are, and some of them, the newest first."""
        table = stream_sessions.c
        where = [table.owner == owner]
        where += [table.status == status] if status else []
        where += [table.conversation_id == conversation_id] if conversation_id else []
        query = select(stream_sessions).where(*where).order_by(table.number.desc())
        total, rows = self._page(query, limit=limit, offset=offset)
        return total, [_read(row) for row in rows]

    def events(self, session_id: str, *, after: int, limit: int) -> list[tuple[int, str]]:
        """Stored deltas past an id, in order: their ids and texts, of `limit` batches at most."""
        table = stream_events.c
        query = (
            select(table.first, table.texts)
            .where(table.session_id == session_id, table.last > after)
            .order_by(table.first)
            .limit(limit)
        )
        rows = self._rows(query)
        numbered = [pair for first, texts in rows for pair in enumerate(json.loads(texts), start=first)]
        return [pair for pair in numbered if pair[0] > after]

    def partial(self, conversation_id: str) -> Mapping[str, str]:
        """What answers on their way in a conversation say so far, by the id of their message."""
        table = stream_sessions.c
        query = select(table.message_id, table.partial_response).where(
            table.conversation_id == conversation_id, table.status == ACTIVE
        )
        return {row.message_id: row.partial_response for row in self._rows(query)}

    def ask_to_stop(self, session_id: str, *, owner: str, reason: str) -> None:
        """Leave a note for the gateway that runs it; of two notes the first counts."""
        table = stream_sessions.c
        self._change(
            update(stream_sessions)
            .where(_owned(session_id, owner), table.status == ACTIVE, table.stop_reason.is_(None))
            .values(stop_reason=reason)
        )

    def watch(self, session_id: str) -> None:
        """Note that somebody reads it by another gateway, so that it is not stopped for want of readers."""
        self._change(
            update(stream_sessions)
            .where(stream_sessions.c.id == session_id, stream_sessions.c.status == ACTIVE)
            .values(watched_at=now())
        )

    def _claim(self, connection: Connection, question: Question, session_id: str, moment: datetime) -> None:
        """Make the conversation this session's. It is busy, too, if more was said since the prompt was made."""
        table = conversations.c
        newer = select(messages.c.number).where(
            messages.c.conversation_id == question.conversation_id, messages.c.number > question.seen
        )
        mine = (table.id == question.conversation_id) & (table.owner == question.owner)
        claim = (
            update(conversations)
            .where(mine, table.active_session.is_(None), ~newer.exists())
            .values(active_session=session_id, updated_at=moment, title=func.coalesce(table.title, question.title))
        )
        if connection.execute(claim).rowcount:
            return
        if connection.execute(select(table.number).where(mine)).one_or_none() is None:
            raise talks.unknown(question.conversation_id)
        raise ConversationBusy(
            f"The conversation {question.conversation_id} is being answered",
            hint="wait for its stream session to end, or stop it",
        )

    def _bound(self, connection: Connection, owner: str, max_active: int, kept: int) -> None:
        table = stream_sessions.c
        running = (table.owner == owner) & (table.status == ACTIVE)
        count = connection.execute(select(func.count()).select_from(stream_sessions).where(running)).scalar_one()
        if count >= max_active:
            raise Overloaded(
                f"{count} answers are on their way to you already",
                hint="conversations.max_active sets this",
                retry_after_s=BUSY_RETRY_S,
            )
        ended = (table.owner == owner) & (table.status != ACTIVE)
        newest = select(table.number).where(ended).order_by(table.number.desc())
        oldest_kept = connection.execute(newest.limit(1).offset(kept - 1)).scalar_one_or_none()
        if oldest_kept is not None:
            connection.execute(delete(stream_sessions).where(ended, table.number < oldest_kept))


def unknown(session_id: str) -> StreamSessionNotFound:
    """The error for a session that is not there, or not the asker's."""
    hint = "GET /api/v1/stream-sessions lists yours"
    return StreamSessionNotFound(f"No stream session with the id {session_id[:64]!r}", hint=hint)


def _owned(session_id: str, owner: str) -> Any:
    return (stream_sessions.c.id == session_id) & (stream_sessions.c.owner == owner)


def _read(row: Row[Any]) -> StreamSession:
    return StreamSession(**row._mapping)
