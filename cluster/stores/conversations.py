"""Conversations and their messages in the SQL database. All that is in one goes with it.

A message is written by `StreamSessions` alone, because a question and the answer that is on its way to it
appear together. Every method is given the owner, and another owner's conversation does not exist.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.schema import Column, ForeignKey, Index, Table
from sqlalchemy.types import Integer, String, Text

from cluster.errors import ConversationNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

STREAMING, COMPLETED, TERMINATED, ERROR = "streaming", "completed", "terminated", "error"

conversations = Table(
    "conversations",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("owner", String(OWNER), nullable=False),
    Column("title", Text),
    Column("model", Text),
    Column("system_prompt", Text),
    Column("metadata", Text, nullable=False),  # JSON
    Column("active_session", String(40)),  # the stream session that answers in it now
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("conversations_owner", "owner", "updated_at"),
)

messages = Table(
    "conversation_messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("conversation_id", ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("role", String(16), nullable=False),
    Column("content", Text, nullable=False),  # JSON: a text, or a list of parts
    Column("model", Text),
    Column("provider", String(64)),
    Column("status", String(16), nullable=False),
    Column("finish_reason", String(32)),
    Column("termination_reason", String(64)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("prompt_bytes", Integer),  # of the text that prompt_tokens counts
    Column("dropped", Integer),
    Column("created_at", UtcTime, nullable=False),
    Index("conversation_messages_order", "conversation_id", "number"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """One conversation. model: None takes the gateway's choice. metadata: the client's own."""

    id: str
    title: str | None
    model: str | None
    system_prompt: str | None
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message. content: a text, or parts as chat's. Of answers: what made them, what they cost, how they ended.

    prompt_bytes: of the prompt's text. dropped: messages that were left out of the prompt as it grew too long.
    """

    number: int
    id: str
    conversation_id: str
    role: str
    content: str | list[dict[str, Any]]
    model: str | None
    provider: str | None
    status: str
    finish_reason: str | None
    termination_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    prompt_bytes: int | None
    dropped: int | None
    created_at: datetime


class Conversations(SqlStore):
    """The conversations of one database."""

    def create(self, *, id: str, owner: str, values: Mapping[str, Any]) -> Conversation:  # noqa: A002 - a column
        """Store a new one. values: any of title, model, system_prompt, metadata."""
        moment = now()
        row = {"id": id, "owner": owner, "metadata": {}, "created_at": moment, "updated_at": moment, **values}
        self._change(insert(conversations).values(_encoded(row)))
        return self.get(id, owner=owner)

    def get(self, conversation_id: str, *, owner: str) -> Conversation:
        """Raises ConversationNotFound."""
        row = self._row(select(conversations).where(_owned(conversation_id, owner)))
        if row is None:
            raise unknown(conversation_id)
        return _conversation(row)

    def page(self, *, owner: str, limit: int, offset: int) -> tuple[int, Sequence[Conversation]]:
        """How many there are, and some of them, what changed last first."""
        table = conversations.c
        newest = (table.updated_at.desc(), table.number.desc())
        query = select(conversations).where(table.owner == owner).order_by(*newest)
        total, rows = self._page(query, limit=limit, offset=offset)
        return total, [_conversation(row) for row in rows]

    def change(self, conversation_id: str, *, owner: str, values: Mapping[str, Any]) -> Conversation:
        """Write some of title, model, system_prompt, metadata. Raises ConversationNotFound."""
        row = _encoded({**values, "updated_at": now()})
        if not self._change(update(conversations).where(_owned(conversation_id, owner)).values(row)):
            raise unknown(conversation_id)
        return self.get(conversation_id, owner=owner)

    def remove(self, conversation_id: str, *, owner: str) -> None:
        """Forget one with all in it; an answer on its way is stopped. Raises ConversationNotFound."""
        if not self._change(delete(conversations).where(_owned(conversation_id, owner))):
            raise unknown(conversation_id)

    def messages(
        self, conversation_id: str, *, owner: str, limit: int, offset: int
    ) -> tuple[int, Sequence[Message]]:
        """How many there are, and some of them, the oldest first. Raises ConversationNotFound."""
        self.get(conversation_id, owner=owner)
        within = messages.c.conversation_id == conversation_id
        total, rows = self._page(
            select(messages).where(within).order_by(messages.c.number), limit=limit, offset=offset
        )
        return total, [read_message(row) for row in rows]

    def message(self, message_id: str) -> Message | None:
        """One message, or None. Its owner was checked by whoever knows the id."""
        row = self._row(select(messages).where(messages.c.id == message_id))
        return None if row is None else read_message(row)

    def recent(self, conversation_id: str, *, max_messages: int, max_bytes: int) -> tuple[int, Sequence[Message]]:
        """How many messages there are, and the newest of them, the oldest first, as many as the bounds let in."""
        table = messages.c
        within = table.conversation_id == conversation_id
        query = select(messages).where(within).order_by(table.number.desc()).limit(max_messages)
        found: list[Message] = []
        with self._engine.connect() as connection:
            total = connection.execute(select(func.count()).select_from(messages).where(within)).scalar_one()
            for row in connection.execution_options(yield_per=32).execute(query):  # a page may be of large pictures
                max_bytes -= len(row.content)
                if max_bytes < 0:
                    break
                found.append(read_message(row))
        return total, found[::-1]


def unknown(conversation_id: str) -> ConversationNotFound:
    """The error for a conversation that is not there, or not the asker's."""
    hint = "GET /api/v1/conversations lists yours"
    return ConversationNotFound(f"No conversation with the id {conversation_id[:64]!r}", hint=hint)


def read_message(row: Row[Any]) -> Message:
    """A row of `messages` as a value."""
    return Message(**{**row._mapping, "content": json.loads(row.content)})


def _owned(conversation_id: str, owner: str) -> Any:
    return (conversations.c.id == conversation_id) & (conversations.c.owner == owner)


def _encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(values)
    if "metadata" in row:
        row["metadata"] = json.dumps(row["metadata"])
    return row


def _conversation(row: Row[Any]) -> Conversation:
    fields = dict(row._mapping)
    kept = {name: fields[name] for name in Conversation.__dataclass_fields__}
    return Conversation(**{**kept, "metadata": json.loads(fields["metadata"])})
