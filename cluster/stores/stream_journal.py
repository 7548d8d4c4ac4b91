"""What a gateway writes of the stream sessions that it runs: their text as it comes, and how they end.

Every write names the sessions that are still active, so a gateway that was taken for dead and comes back
changes nothing: it finds its sessions gone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, delete, insert, select, update

from cluster.stores import conversations as talks
from cluster.stores.conversations import conversations, messages
from cluster.stores.database import now
from cluster.stores.stream_sessions import ACTIVE, stream_events, stream_sessions

GATEWAY_LOST = "gateway_lost"
LOST = "The gateway that ran this answer is gone"
LOST_HINT = "what it had stored is kept; ask again for a whole answer"
UNSTORED = 1_000_000  # more events than a gateway may have shown and not stored: the end's id is past theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How an answer ended. status: completed, terminated or error. reason: why, where it did not end well.

    tokens: the exact count, None where nobody knows it. prompt_bytes: of the text that prompt_tokens counts.
    forgotten: nothing of it stays, not even the question.
    """

    status: str
    reason: str | None = None
    finish_reason: str | None = None
    error_message: str | None = None
    error_hint: str | None = None
    prompt_tokens: int | None = None
    tokens: int | None = None
    prompt_bytes: int | None = None
    dropped: int = 0
    forgotten: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Deltas of a session since the last time. first: the id of the first. tokens: all so far. ending: or None."""

    session_id: str
    first: int
    texts: Sequence[str]
    tokens: int
    ending: Ending | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What others wish of a running session. watched_at: when another gateway last showed it to somebody."""

    stop_reason: str | None
    watched_at: datetime | None


class StreamJournal:
    """The sessions of one gateway process. Every method is one transaction; all of them block."""

    def __init__(self, engine: Engine, gateway: str) -> None:
        self._engine = engine
        self._gateway = gateway

    def write(self, progress: Sequence[Progress], *, alive: Sequence[str] = ()) -> Mapping[str, Standing]:
        """Store all that is new in one transaction. alive: sessions that are to show a sign of life without news.

        Returns the sessions that are still this gateway's to answer; of one that is missing nothing was stored.
        What is stored already is left as it is: of a transaction whose connection broke nobody knows whether it
        was committed, so it is written again.
        """
        table = stream_sessions.c
        own = (table.gateway == self._gateway) & (table.status == ACTIVE)
        with self._engine.begin() as connection:
            for one in progress:
                self._write(connection, one)
            if alive:  # last: whoever holds a session's row must want no conversation's any more
                connection.execute(
                    update(stream_sessions).where(own, table.id.in_(alive)).values(last_activity_at=now())
                )
            rows = connection.execute(select(table.id, table.stop_reason, table.watched_at).where(own))
            return {row.id: Standing(stop_reason=row.stop_reason, watched_at=row.watched_at) for row in rows}

    def _write(self, connection: Connection, progress: Progress) -> None:
        table = stream_sessions.c
        last = progress.first + len(progress.texts) - 1
        tokens = progress.tokens
        if progress.ending is not None and progress.ending.tokens is not None:
            tokens = progress.ending.tokens
        mine = (table.id == progress.session_id) & (table.gateway == self._gateway) & (table.status == ACTIVE)
        if progress.ending is not None:
            _free(connection, progress.session_id, mine)
        stored = connection.execute(select(table.last_event).where(mine)).scalar()
        if stored is None:
            return
        texts = progress.texts[max(0, stored + 1 - progress.first) :]
        held = connection.execute(
            update(stream_sessions)
            .where(mine)
            .values(
                partial_response=table.partial_response + "".join(texts),
                token_count=tokens,
                last_event=last,
                last_activity_at=now(),
            )
        ).rowcount
        if not held:
            return
        if texts:
            row = {"session_id": progress.session_id, "first": last + 1 - len(texts), "last": last}
            connection.execute(insert(stream_events).values(texts=json.dumps(list(texts)), **row))
        if progress.ending is not None:
            _end(connection, progress.session_id, progress.ending)


def settle(engine: Engine, *, owner: str, before: datetime) -> None:
    """End the owner's sessions whose gateway gave no sign of life since `before`: their text is their message."""
    table = stream_sessions.c
    silent = (table.owner == owner) & (table.status == ACTIVE) & (table.last_activity_at < before)
    with engine.connect() as connection:
        lost = connection.execute(select(table.id).where(silent)).scalars().all()
    for session_id in lost:
        with engine.begin() as connection:
            # Writes that repeat the condition: a gateway that was only slow may have come back.
            lost_one = (table.id == session_id) & silent
            _free(connection, session_id, lost_one)
            mark = (
                update(stream_sessions)
                .where(lost_one)
                .values(stop_reason=GATEWAY_LOST, last_event=table.last_event + UNSTORED)
            )
            if connection.execute(mark).rowcount:
                ending = Ending(status=talks.ERROR, reason=GATEWAY_LOST, error_message=LOST, error_hint=LOST_HINT)
                _end(connection, session_id, ending)


def _free(connection: Connection, session_id: str, which: ColumnElement[bool]) -> None:
    """Let go of a session's conversation, if the session is one of `which`.

    Before the session is written: who removes a conversation locks it first, too, and then what is in it.
    """
    its = select(stream_sessions.c.conversation_id).where(which)
    table = conversations.c
    free = update(conversations).where(table.id.in_(its), table.active_session == session_id)
    connection.execute(free.values(active_session=None, updated_at=now()))


def _end(connection: Connection, session_id: str, ending: Ending) -> None:
    """The session and its message; its conversation is free."""
    table = stream_sessions.c
    query = select(table.conversation_id, table.message_id, table.partial_response, table.token_count)
    conversation_id, message_id, text, tokens = connection.execute(query.where(table.id == session_id)).one()
    if ending.forgotten:
        _forget(connection, session_id, conversation_id)
        return
    ended: dict[str, Any] = {
        "status": ending.status,
        "termination_reason": ending.reason,
        "error_message": ending.error_message,
        "error_hint": ending.error_hint,
    }
    connection.execute(update(stream_sessions).where(table.id == session_id).values(ended))
    answer: dict[str, Any] = {
        "content": json.dumps(text),
        "status": ending.status,
        "finish_reason": ending.finish_reason,
        "termination_reason": ending.reason,
        "prompt_tokens": ending.prompt_tokens,
        "completion_tokens": tokens,
        "prompt_bytes": ending.prompt_bytes,
        "dropped": ending.dropped,
    }
    connection.execute(update(messages).where(messages.c.id == message_id).values(answer))


def _forget(connection: Connection, session_id: str, conversation_id: str) -> None:
    """The newest two messages are the session's: its conversation takes no others while it is active."""
    newest = select(messages.c.number).where(messages.c.conversation_id == conversation_id)
    pair = connection.execute(newest.order_by(messages.c.number.desc()).limit(2)).scalars().all()
    connection.execute(delete(messages).where(messages.c.number.in_(pair)))
    connection.execute(delete(stream_sessions).where(stream_sessions.c.id == session_id))
