"""OpenAI's batches in the SQL database: what was asked, how far it is, which job runs it.

    validating ─► in_progress ─► finalizing ─► completed | expired
        │  └► failed    └► cancelling ─► cancelled
        └► cancelling ─► cancelled

A change is one UPDATE that names the states it may come from and the job that may make it, so that of two
jobs of one batch only the newer one is heard. Results are JSONL in the batch's folder until it ends.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from cluster.errors import BatchNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now, take_turns
from cluster.stores.files import SANE_ID
from cluster.stores.sql_store import SqlStore

VALIDATING, IN_PROGRESS, FINALIZING, CANCELLING = "validating", "in_progress", "finalizing", "cancelling"
COMPLETED, FAILED, EXPIRED, CANCELLED = "completed", "failed", "expired", "cancelled"
ACTIVE = (VALIDATING, IN_PROGRESS, FINALIZING, CANCELLING)
ENDS = {COMPLETED: "completed_at", FAILED: "failed_at", EXPIRED: "expired_at", CANCELLED: "cancelled_at"}
WINDOW_S = 24 * 3600  # OpenAI's only completion window

batches = Table(
    "batches",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(OWNER), nullable=False),
    Column("models", Text),  # JSON: the ids its owner's key may ask; NULL is all
    Column("endpoint", String(64), nullable=False),
    Column("input_file_id", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("notes", Text),  # JSON: OpenAI's `metadata`
    Column("output_expires_s", Integer),
    Column("output_file_id", String(64)),
    Column("error_file_id", String(64)),
    Column("problems", Text),  # JSON: OpenAI's `errors.data`
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("submission_id", String(64)),
    Column("submitted_at", UtcTime),
    Column("restarts", Integer, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("in_progress_at", UtcTime),
    Column("finalizing_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("failed_at", UtcTime),
    Column("expired_at", UtcTime),
    Column("cancelling_at", UtcTime),
    Column("cancelled_at", UtcTime),
    Index("batches_owner", "owner", "seq"),
    Index("batches_status", "status"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One batch. completed, failed: lines whose answer is stored on disk; total: 0 until it is validated.

    submission_id: the job that runs it, None while it waits for a place. restarts: jobs since the last one
    that stored a line. notes: OpenAI's `metadata`. problems: OpenAI's `errors.data`.
    """

    seq: int
    id: str
    owner: str
    models: frozenset[str] | None
    endpoint: str
    input_file_id: str
    status: str
    notes: Mapping[str, str] | None
    output_expires_s: int | None
    output_file_id: str | None
    error_file_id: str | None
    problems: Sequence[Mapping[str, Any]]
    total: int
    completed: int
    failed: int
    submission_id: str | None
    submitted_at: datetime | None
    restarts: int
    created_at: datetime
    expires_at: datetime
    in_progress_at: datetime | None
    finalizing_at: datetime | None
    completed_at: datetime | None
    failed_at: datetime | None
    expired_at: datetime | None
    cancelling_at: datetime | None
    cancelled_at: datetime | None

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.status in ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchPage:
    """Some of an owner's batches, the newest first. more: whether there are older ones."""

    batches: Sequence[Batch]
    more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a batch ends. status: one of ENDS. problems: why it failed."""

    status: str
    output_file_id: str | None = None
    error_file_id: str | None = None
    problems: Sequence[Mapping[str, Any]] = ()

    def because(self, problem: Mapping[str, Any]) -> "Ending":
        """The same, with its reason."""
        return replace(self, problems=(*self.problems, problem))


class Batches(SqlStore):
    """The batches of one database."""

    def create(
        self,
        *,
        batch_id: str,
        owner: str,
        models: frozenset[str] | None,
        endpoint: str,
        input_file_id: str,
        notes: Mapping[str, str] | None = None,
        output_expires_s: int | None = None,
    ) -> Batch:
        """Store a new one, validating, without a job."""
        moment = now()
        row = {
            "id": batch_id,
            "owner": owner,
            "models": None if models is None else json.dumps(sorted(models)),
            "endpoint": endpoint,
            "input_file_id": input_file_id,
            "status": VALIDATING,
            "notes": None if notes is None else json.dumps(notes),
            "output_expires_s": output_expires_s,
            "created_at": moment,
            "expires_at": moment + timedelta(seconds=WINDOW_S),
            **dict.fromkeys(("total", "completed", "failed", "restarts"), 0),
        }
        with self._engine.begin() as connection:
            connection.execute(insert(batches).values(row))
            return _read(connection.execute(select(batches).where(batches.c.id == batch_id)).one())

    def get(self, batch_id: str, *, owner: str | None = None) -> Batch:
        """One batch; of an owner, where one is named. Raises BatchNotFound."""
        query = select(batches).where(batches.c.id == batch_id)
        if owner is not None:
            query = query.where(batches.c.owner == owner)
        row = self._row(query) if SANE_ID.fullmatch(batch_id) else None
        if row is None:
            raise BatchNotFound(
                f"No batch found with id {batch_id[:128]!r}", hint="GET /v1/batches lists yours", param="batch_id"
            )
        return _read(row)

    def page(self, *, owner: str, limit: int, after: str | None = None) -> BatchPage:
        """Some of an owner's batches. after: the last id that was seen. Raises BatchNotFound for it."""
        query = select(batches).where(batches.c.owner == owner)
        seen = None if after is None else self.get(after, owner=owner).seq
        rows, more = self._next_to(query, batches.c.seq, limit=limit, after=seen)
        return BatchPage(batches=[_read(row) for row in rows], more=more)

    def running(self) -> list[Batch]:
        """Those that a job holds, of all owners."""
        held = (batches.c.status.in_(ACTIVE), batches.c.submission_id.is_not(None))
        return self._list(select(batches).where(*held).order_by(batches.c.seq))

    def waiting(self) -> list[Batch]:
        """Those that wait for a job, of all owners, the oldest first."""
        free = (batches.c.status.in_(ACTIVE), batches.c.submission_id.is_(None))
        return self._list(select(batches).where(*free).order_by(batches.c.seq))

    def claim(self, batch_id: str, submission_id: str, *, before: str | None, most: int) -> bool:
        """Give a batch to a job; False when another one has it by now, or no place is free.

        before: the job that had it. most: batches at once; one that had a job has its place already.
        """
        mine = [batches.c.id == batch_id, batches.c.status.in_(ACTIVE)]
        values: dict[str, Any] = {"submission_id": submission_id, "submitted_at": now()}
        if before is None:
            other = batches.alias()
            taken = select(func.count()).where(other.c.status.in_(ACTIVE), other.c.submission_id.is_not(None))
            mine += [batches.c.submission_id.is_(None), taken.scalar_subquery() < most]
        else:
            mine.append(batches.c.submission_id == before)
            values["restarts"] = batches.c.restarts + 1
        with self._engine.begin() as connection:
            take_turns(connection, batches.name)  # or two gateways would both see the last place free
            return connection.execute(update(batches).where(*mine).values(values)).rowcount > 0

    def release(self, batch_id: str, submission_id: str) -> bool:
        """Take a batch from a job that could not be started; it waits again."""
        return self._set(_of(batch_id, submission_id), {"submission_id": None, "submitted_at": None})

    def begin(self, batch_id: str, submission_id: str, *, total: int) -> bool:
        """Its input is valid: the lines may run. False when it is not validating any more."""
        values = {"status": IN_PROGRESS, "in_progress_at": now(), "total": total}
        return self._set([*_of(batch_id, submission_id), batches.c.status == VALIDATING], values)

    def count(self, batch_id: str, submission_id: str, *, completed: int, failed: int, advanced: bool) -> bool:
        """Note how many lines are stored. False when another job has the batch by now, or it has ended.

        advanced: whether this job stored any of them; the count of restarts begins anew then.
        """
        values = {"completed": completed, "failed": failed, **({"restarts": 0} if advanced else {})}
        return self._set(_of(batch_id, submission_id), values)

    def finalize(self, batch_id: str, submission_id: str) -> bool:
        """No further line will run. False when it is not in progress any more."""
        wanted = [*_of(batch_id, submission_id), batches.c.status == IN_PROGRESS]
        return self._set(wanted, {"status": FINALIZING, "finalizing_at": now()})

    def cancel(self, batch_id: str) -> bool:
        """Ask its job to stop; one without a job is cancelled at once. False when it is too late for either."""
        moment = now()
        open_ = [batches.c.id == batch_id, batches.c.status.in_((VALIDATING, IN_PROGRESS))]
        at_once = {"status": CANCELLED, "cancelling_at": moment, "cancelled_at": moment}
        idle = [*open_, batches.c.submission_id.is_(None), batches.c.total == 0]
        return self._set(idle, at_once) or self._set(open_, {"status": CANCELLING, "cancelling_at": moment})

    def finish(self, batch_id: str, submission_id: str, ending: Ending) -> bool:
        """End it. False when another job has it by now, or it has ended."""
        values = {
            "status": ending.status,
            ENDS[ending.status]: now(),
            "output_file_id": ending.output_file_id,
            "error_file_id": ending.error_file_id,
            "problems": json.dumps(list(ending.problems)) if ending.problems else None,
        }
        return self._set(_of(batch_id, submission_id), values)

    def _set(self, where: Sequence[ColumnElement[bool]], values: Mapping[str, Any]) -> bool:
        return self._change(update(batches).where(*where).values(dict(values))) > 0

    def _list(self, query: Select[Any]) -> list[Batch]:
        return [_read(row) for row in self._rows(query)]


def new_id() -> str:
    """An id for a new batch."""
    return f"batch_{uuid.uuid4().hex[:24]}"


def _of(batch_id: str, submission_id: str) -> list[ColumnElement[bool]]:
    return [
        batches.c.id == batch_id,
        batches.c.submission_id == submission_id,
        batches.c.status.in_(ACTIVE),
    ]


def _read(row: Row[Any]) -> Batch:
    fields = dict(row._mapping)
    for name in ("notes", "models"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    if fields["models"] is not None:
        fields["models"] = frozenset(fields["models"])
    fields["problems"] = tuple(json.loads(fields["problems"] or "[]"))
    return Batch(**fields)
