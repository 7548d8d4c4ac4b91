"""Uploads that go on after their request was answered: whose they are, and how far those are that a gateway stores.

An ingest job of Ray says how far it is in a file of its own; its row here says whose it is. What a gateway stores
in the background has its whole state here, written again and again: a row that is silent for long is that of a
gateway that is gone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import Integer, String, Text

from cluster.errors import NotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now
from cluster.stores.sql_store import SqlStore

KEPT_DAYS = 7  # somebody who asks later knows what became of it
SANE = re.compile(r"[a-z]+-[0-9a-f]{16}")

document_jobs = Table(
    "document_jobs",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(OWNER), nullable=False),
    Column("collection", String(512), nullable=False),
    Column("state", Text),  # JSON object; null is a job of Ray
    Column("number", Integer, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Index("document_jobs_updated", "updated_at"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentJob:
    """One of them. collection: its physical name. state: a JSON object, None where the job says itself.

    number: of the state, which counts up.
    """

    id: str
    owner: str
    collection: str
    state: Mapping[str, Any] | None
    number: int
    updated_at: datetime


class DocumentJobs(SqlStore):
    """Those of one database."""

    def create(
        self,
        job_id: str,
        *,
        owner: str,
        collection: str,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Store a new one, and forget those that nobody asks for any more."""
        moment = now()
        row = {
            "id": job_id,
            "owner": owner,
            "collection": collection,
            "state": _json(state),
            "number": 1,
            "updated_at": moment,
        }
        old = document_jobs.c.updated_at < moment - timedelta(days=KEPT_DAYS)
        with self._engine.begin() as connection:
            connection.execute(delete(document_jobs).where(old))
            connection.execute(insert(document_jobs).values(row))

    def get(self, job_id: str, *, owner: str) -> DocumentJob:
        """One of an owner's. Raises NotFound."""
        table = document_jobs.c
        row = None
        if SANE.fullmatch(job_id):
            row = self._row(select(document_jobs).where(table.id == job_id, table.owner == owner))
        if row is None:
            raise unknown(job_id)
        return _read(row)

    def note(self, job_id: str, state: Mapping[str, Any]) -> None:
        """Write how far one is."""
        table = document_jobs.c
        values = {"state": _json(state), "number": table.number + 1, "updated_at": now()}
        self._change(update(document_jobs).where(table.id == job_id).values(values))

    def knows(self, job_id: str) -> bool:
        """Whether there is one, whosever it is."""
        return self._row(select(document_jobs).where(document_jobs.c.id == job_id)) is not None

    def remove_of(self, collection: str) -> None:
        """Forget all of a collection that was removed: those that go on find it out at their end."""
        self._change(delete(document_jobs).where(document_jobs.c.collection == collection))

    def remove(self, job_id: str) -> None:
        """Forget one that never began."""
        self._change(delete(document_jobs).where(document_jobs.c.id == job_id))


def unknown(job_id: str) -> NotFound:
    """The error for a job that its asker cannot see."""
    return NotFound(f"No ingest job with the id {job_id[:64]!r}", hint="the 202 answer to the upload named it")


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(dict(value))


def _read(row: Row[Any]) -> DocumentJob:
    fields = dict(row._mapping)
    fields["state"] = None if fields["state"] is None else json.loads(fields["state"])
    return DocumentJob(**fields)
