"""Files of vector stores: which file is in which, how far it is on its way in, and in which batch it came.

A gateway claims a file before it stores it, and says every moment that it is still at it; a claim that is silent
for long is a dead gateway's, and another takes the file over. To store a file twice changes nothing.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, Select, delete, func, insert, or_, select, update
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import BigInteger, Integer, String, Text

from cluster.errors import NotFound, UploadNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now, storable, take_turns
from cluster.stores.files import SANE_ID, StoredFile
from cluster.stores.sql_store import SqlStore

IN_PROGRESS, COMPLETED, FAILED, CANCELLED = "in_progress", "completed", "failed", "cancelled"
STATES = (IN_PROGRESS, COMPLETED, FAILED, CANCELLED)
SILENT_S = 60.0  # a claim lasts so long without a word

vector_store_files = Table(
    "vector_store_files",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("store_id", String(64), nullable=False),
    Column("file_id", String(64), nullable=False),
    Column("batch_id", String(64)),
    Column("owner", String(OWNER), nullable=False),
    Column("filename", Text, nullable=False),
    Column("document_id", String(64), nullable=False),
    Column("attributes", Text, nullable=False),  # JSON object
    Column("status", String(16), nullable=False),
    Column("error_code", String(32)),
    Column("error_message", Text),
    Column("usage_bytes", BigInteger, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("claimed_at", UtcTime),
    Index("vector_store_files_file", "store_id", "file_id", unique=True),
    Index("vector_store_files_batch", "batch_id"),
    sqlite_autoincrement=True,
)

vector_store_batches = Table(
    "vector_store_batches",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("store_id", String(64), nullable=False),
    Column("cancelled_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Index("vector_store_batches_store", "store_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFile:
    """One file of a store. seq: its place in the order of arrival. document_id: of its bytes."""

    seq: int
    store_id: str
    file_id: str
    batch_id: str | None
    owner: str
    filename: str
    document_id: str
    attributes: Mapping[str, Any]
    status: str
    error_code: str | None
    error_message: str | None
    usage_bytes: int
    created_at: datetime
    claimed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBatch:
    """Files that came together."""

    id: str
    store_id: str
    cancelled_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A file to put into a store, and what is said of it."""

    file: StoredFile
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many files of something are in which state, and the bytes that they take."""

    by_status: Mapping[str, int]
    usage_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFilePage:
    """Some of a store's files. more: whether there are others after them."""

    files: Sequence[StoreFile]
    more: bool


class StoreFiles(SqlStore):
    """Those of one database. Whose a store is, is for who asks to know."""

    def add(
        self, store_id: str, wanted: Sequence[Wanted], *, owner: str, batch: bool = False
    ) -> tuple[tuple[StoreFile, ...], StoreBatch | None]:
        """Put files into a store, in progress; one that is there already begins anew. batch: whether as one."""
        moment = now()
        batch_id = f"vsfb_{uuid.uuid4().hex[:24]}" if batch else None
        table = vector_store_files.c
        rows = [
            {
                "store_id": store_id,
                "file_id": one.file.id,
                "batch_id": batch_id,
                "owner": owner,
                "filename": one.file.filename,
                "document_id": one.file.sha256,
                "attributes": json.dumps(dict(one.attributes)),
                "status": IN_PROGRESS,
                "usage_bytes": 0,
                "created_at": moment,
            }
            for one in {one.file.id: one for one in wanted}.values()
        ]
        ids = [row["file_id"] for row in rows]
        here = (table.store_id == store_id) & table.file_id.in_(ids)
        with self._engine.begin() as connection:
            take_turns(connection, vector_store_files.name, store_id)
            connection.execute(delete(vector_store_files).where(here))
            if rows:
                connection.execute(insert(vector_store_files), rows)
            if batch_id is not None:
                made = {"id": batch_id, "store_id": store_id, "created_at": moment}
                connection.execute(insert(vector_store_batches).values(made))
            found = connection.execute(select(vector_store_files).where(here).order_by(table.seq)).all()
        files = tuple(map(_read, found))
        if batch_id is None:
            return files, None
        return files, StoreBatch(id=batch_id, store_id=store_id, cancelled_at=None, created_at=moment)

    def get(self, store_id: str, file_id: str) -> StoreFile:
        """One file of a store. Raises UploadNotFound."""
        table = vector_store_files.c
        row = None
        if SANE_ID.fullmatch(file_id):
            row = self._row(select(vector_store_files).where(table.store_id == store_id, table.file_id == file_id))
        if row is None:
            raise _unknown(file_id)
        return _read(row)

    def batch(self, store_id: str, batch_id: str) -> StoreBatch:
        """One batch of a store. Raises NotFound."""
        table = vector_store_batches.c
        row = None
        if SANE_ID.fullmatch(batch_id):
            row = self._row(select(vector_store_batches).where(table.id == batch_id, table.store_id == store_id))
        if row is None:
            raise NotFound(f"No file batch {batch_id[:64]!r} in this vector store", param="batch_id")
        return StoreBatch(**row._mapping)

    def page(
        self,
        store_id: str,
        *,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        newest_first: bool = True,
        status: str | None = None,
        batch_id: str | None = None,
    ) -> StoreFilePage:
        """Some of a store's files. after, before: file ids next to the page. Raises UploadNotFound for them."""
        table = vector_store_files.c
        query = select(vector_store_files).where(table.store_id == store_id)
        if status is not None:
            query = query.where(table.status == status)
        if batch_id is not None:
            query = query.where(table.batch_id == batch_id)
        rows, more = self._next_to(
            query,
            table.seq,
            limit=limit,
            after=None if after is None else self.get(store_id, after).seq,
            before=None if before is None else self.get(store_id, before).seq,
            newest_first=newest_first,
        )
        return StoreFilePage(files=[_read(row) for row in rows], more=more)

    def counts(self, store_ids: Iterable[str]) -> dict[str, Counts]:
        """Of each of several stores."""
        return self._counts(vector_store_files.c.store_id, list(store_ids))

    def batch_counts(self, batch_id: str) -> Counts:
        """Of one batch; a file that was put in again since then is no longer of it."""
        return self._counts(vector_store_files.c.batch_id, [batch_id])[batch_id]

    def waiting(self, store_id: str) -> tuple[StoreFile, ...]:
        """A store's files that nobody is at."""
        query = select(vector_store_files).where(vector_store_files.c.store_id == store_id, _free())
        return tuple(_read(row) for row in self._rows(query))

    def claim(self, file: StoreFile) -> bool:
        """Begin with a file; False where another has, or it is gone."""
        return self._change(_this(file).where(_free()).values(claimed_at=now())) > 0

    def beat(self, file: StoreFile) -> None:
        """Still at it."""
        self._change(_this(file).values(claimed_at=now()))

    def finish(
        self, file: StoreFile, status: str, *, usage_bytes: int = 0, error: tuple[str, str] | None = None
    ) -> bool:
        """A file is in, or will never be; False where it was cancelled or taken out meanwhile."""
        values: dict[str, Any] = {"status": status, "usage_bytes": usage_bytes, "claimed_at": None}
        if error is not None:
            values |= {"error_code": error[0], "error_message": storable(error[1])}
        return self._change(_this(file).where(vector_store_files.c.status == IN_PROGRESS).values(values)) > 0

    def annotate(self, file: StoreFile, attributes: Mapping[str, Any]) -> None:
        """Set what is said of a file."""
        self._change(_this(file).values(attributes=json.dumps(dict(attributes))))

    def cancel(self, batch_id: str) -> None:
        """Begin nothing more of a batch; what is in stays."""
        table = vector_store_files.c
        with self._engine.begin() as connection:
            mine = (table.batch_id == batch_id) & (table.status == IN_PROGRESS)
            connection.execute(update(vector_store_files).where(mine).values(status=CANCELLED, claimed_at=None))
            batch = vector_store_batches.c.id == batch_id
            connection.execute(update(vector_store_batches).where(batch).values(cancelled_at=now()))

    def remove(self, file: StoreFile) -> bool:
        """Take a file out; whether its document may go too: no other file of the store needs it."""
        with self._engine.begin() as connection:
            connection.execute(delete(vector_store_files).where(vector_store_files.c.seq == file.seq))
            return connection.execute(_needing(file)).first() is None

    def needs(self, file: StoreFile) -> bool:
        """Whether a file of the store with the same bytes is in, or on its way."""
        with self._engine.connect() as connection:
            return connection.execute(_needing(file)).first() is not None

    def holding(self, file_id: str, *, owner: str) -> tuple[StoreFile, ...]:
        """A file in all of its owner's stores."""
        table = vector_store_files.c
        query = select(vector_store_files).where(table.file_id == file_id, table.owner == owner)
        return tuple(_read(row) for row in self._rows(query))

    def of_documents(self, store_id: str, document_ids: Iterable[str]) -> dict[str, StoreFile]:
        """The newest file of a store behind each of some documents."""
        table = vector_store_files.c
        query = select(vector_store_files).where(
            table.store_id == store_id, table.document_id.in_(list(document_ids)), table.status == COMPLETED
        )
        return {row.document_id: _read(row) for row in self._rows(query.order_by(table.seq))}

    def forget(self, store_id: str, document_id: str) -> None:
        """A store's document is gone: so are the files behind it."""
        table = vector_store_files.c
        here = (table.store_id == store_id) & (table.document_id == document_id)
        self._change(delete(vector_store_files).where(here))

    def clear(self, store_id: str) -> None:
        """Forget all of a store."""
        with self._engine.begin() as connection:
            for table in (vector_store_files, vector_store_batches):
                connection.execute(delete(table).where(table.c.store_id == store_id))

    def _counts(self, column: Any, keys: Sequence[str]) -> dict[str, Counts]:
        table = vector_store_files.c
        query: Select[Any] = (
            select(column, table.status, func.count(), func.sum(table.usage_bytes))
            .where(column.in_(keys))
            .group_by(column, table.status)
        )
        counts: dict[str, dict[str, int]] = {key: dict.fromkeys(STATES, 0) for key in keys}
        usage = dict.fromkeys(keys, 0)
        for key, status, count, taken in self._rows(query):
            counts[key][status] = int(count)
            usage[key] += int(taken or 0)
        return {key: Counts(by_status=counts[key], usage_bytes=usage[key]) for key in keys}


def _free() -> Any:
    table = vector_store_files.c
    silent = table.claimed_at < now() - timedelta(seconds=SILENT_S)
    return (table.status == IN_PROGRESS) & or_(table.claimed_at.is_(None), silent)


def _needing(file: StoreFile) -> Select[Any]:
    """A file of the store whose document is that one's; what failed or was cancelled has none."""
    table = vector_store_files.c
    same = (table.store_id == file.store_id) & (table.document_id == file.document_id)
    return select(table.seq).where(same, table.status.in_((IN_PROGRESS, COMPLETED))).limit(1)


def _this(file: StoreFile) -> Any:
    return update(vector_store_files).where(vector_store_files.c.seq == file.seq)


def _unknown(file_id: str) -> UploadNotFound:
    return UploadNotFound(f"No file {file_id[:64]!r} in this vector store", param="file_id")


def _read(row: Row[Any]) -> StoreFile:
    fields = dict(row._mapping)
    return StoreFile(**{**fields, "attributes": json.loads(fields["attributes"])})
