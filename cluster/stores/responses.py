"""Stored responses of `/v1/responses` in the SQL database: what was asked and answered, each with its owner.

A response in progress is ended once: every change names that state, so that of two processes that end it, one
wins. One that stays in progress past its time lost the server that made it; whoever reads it ends it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Index,
    Insert,
    Row,
    String,
    Table,
    Text,
    Update,
    delete,
    insert,
    literal,
    select,
    update,
)

from cluster.errors import ResponseNotFound
from cluster.stores.database import OWNER, UtcTime, metadata
from cluster.stores.sql_store import SqlStore

IN_PROGRESS, FAILED = "in_progress", "failed"
LOST = "The server that made this response ended before it was done"

responses = Table(
    "responses",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(OWNER), nullable=False),
    Column("previous_id", String(128)),
    Column("status", String(16), nullable=False),
    Column("input_items", Text, nullable=False),  # JSON: the request's own items
    Column("body", Text, nullable=False),  # JSON: the response object
    Column("created_at", UtcTime, nullable=False),
    Index("responses_created", "created_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """One response. body: the response object. input_items: those of its request, not of the ones before."""

    id: str
    owner: str
    previous_id: str | None
    status: str
    input_items: Sequence[Mapping[str, Any]]
    body: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a response in progress ended. body: the response object, with its new status."""

    id: str
    body: Mapping[str, Any]


class Responses(SqlStore):
    """The responses of one database."""

    def add(self, response: StoredResponse) -> None:
        """Store a new one, in progress or at its end."""
        self.write([response])

    def end(self, response_id: str, body: Mapping[str, Any]) -> bool:
        """Note how one in progress ended, by `body["status"]`; False when it had ended, or is gone."""
        return self.write([Ending(id=response_id, body=body)])[0]

    def write(self, changes: Sequence[StoredResponse | Ending]) -> list[bool]:
        """Store new ones and endings, all or none: a commit costs the disk the same for one as for a hundred.

        For each, whether it changed anything; an ending of one that had ended, or is gone, does not.
        """
        with self._engine.begin() as connection:
            return [connection.execute(_statement(change)).rowcount > 0 for change in changes]

    def get(self, owner: str, response_id: str, *, moment: datetime, patience: timedelta) -> StoredResponse:
        """One of an owner's. Raises ResponseNotFound.

        patience: how long a response may be in progress; one that has been for longer at `moment` has failed.
        """
        query = select(responses).where(responses.c.id == response_id, responses.c.owner == owner)
        found = self._one(query, response_id)
        if found.status != IN_PROGRESS or moment - found.created_at <= patience:
            return found
        error = {"code": "server_error", "message": LOST}
        self.end(response_id, {**found.body, "status": FAILED, "error": error})
        return self._one(query, response_id)  # somebody else may have ended it, or deleted it, meanwhile

    def in_progress(self, response_id: str) -> bool:
        """Whether one is still there and not ended."""
        row = self._row(select(responses.c.status).where(responses.c.id == response_id))
        return row is not None and row.status == IN_PROGRESS

    def conversation(self, owner: str, response_id: str, *, limit: int) -> tuple[StoredResponse, ...]:
        """A response and those before it, the oldest first: the last `limit` of them.

        Raises ResponseNotFound where it, or one of those, is not stored any more.
        """
        chain = (
            select(responses.c.id, responses.c.previous_id, literal(1).label("depth"))
            .where(responses.c.id == response_id, responses.c.owner == owner)
            .cte("chain", recursive=True)
        )
        earlier = responses.alias()
        step = (
            select(earlier.c.id, earlier.c.previous_id, chain.c.depth + 1)
            .join(chain, earlier.c.id == chain.c.previous_id)
            .where(earlier.c.owner == owner, chain.c.depth < limit)
        )
        chain = chain.union_all(step)
        query = select(responses).join(chain, responses.c.id == chain.c.id).order_by(chain.c.depth.desc())
        found = [_read(row) for row in self._rows(query)]
        if not found:
            raise _unknown(response_id)
        if found[0].previous_id is not None and len(found) < limit:
            raise _unknown(found[0].previous_id)
        return tuple(found)

    def remove(self, owner: str, response_id: str) -> None:
        """Forget one of an owner's. Raises ResponseNotFound."""
        if not self._change(delete(responses).where(responses.c.id == response_id, responses.c.owner == owner)):
            raise _unknown(response_id)

    def prune(self, before: datetime) -> int:
        """Forget all that were created before a moment; how many they were."""
        return self._change(delete(responses).where(responses.c.created_at < before))

    def _one(self, query: Any, response_id: str) -> StoredResponse:
        row = self._row(query)
        if row is None:
            raise _unknown(response_id)
        return _read(row)


def _statement(change: StoredResponse | Ending) -> Insert | Update:
    if isinstance(change, Ending):
        return (
            update(responses)
            .where(responses.c.id == change.id, responses.c.status == IN_PROGRESS)
            .values(status=change.body["status"], body=json.dumps(change.body))
        )
    return insert(responses).values(
        id=change.id,
        owner=change.owner,
        previous_id=change.previous_id,
        status=change.status,
        input_items=json.dumps(change.input_items),
        body=json.dumps(change.body),
        created_at=change.created_at,
    )


def _read(row: Row[Any]) -> StoredResponse:
    fields = dict(row._mapping)
    for name in ("input_items", "body"):
        fields[name] = json.loads(fields[name])
    return StoredResponse(**fields)


def _unknown(response_id: str) -> ResponseNotFound:
    hint = "it was deleted, not stored, or is older than the server keeps responses"
    return ResponseNotFound(f"No response with the id {response_id[:64]!r}", hint=hint)
