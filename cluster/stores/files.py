"""Files of the OpenAI surface: bytes under `HOME/files/<id>`, what they are in the SQL database.

The bytes come first and the row makes them exist. A crash between the two leaves bytes without a row, which
nobody can name and which `sweep` removes; so does one in a deletion, where the row goes first.
"""

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Row, delete, func, insert, or_, select
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import BigInteger, Integer, String, Text

from cluster.errors import UploadNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now
from cluster.stores.draft import Draft
from cluster.stores.sql_store import SqlStore

BATCH, USER_DATA, ASSISTANTS, BATCH_OUTPUT = "batch", "user_data", "assistants", "batch_output"
SANE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")  # PostgreSQL takes no text with a NUL, not even to look for
LEFTOVER_S = 3600.0  # bytes without a row are an upload under way until they have not grown for that long

files = Table(
    "files",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(OWNER), nullable=False),
    Column("filename", Text, nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime),
    Index("files_owner", "owner", "seq"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file. seq: its place in the order of creation. sha256: hex. expires_at: None is never."""

    seq: int
    id: str
    owner: str
    filename: str
    purpose: str
    bytes: int
    sha256: str
    created_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePage:
    """Some of an owner's files. more: whether there are others after them."""

    files: Sequence[StoredFile]
    more: bool


class Files(SqlStore):
    """The files of one database and one home."""

    def __init__(self, engine: Engine, home: Path) -> None:
        super().__init__(engine)
        self._folder = home / "files"

    def path(self, file_id: str) -> Path:
        """Where the bytes of a file are. The id must be one of ours."""
        return self._folder / file_id

    def draft(self, file_id: str) -> Draft:
        """A place to write the bytes of a new file to; `keep` makes it one."""
        return Draft(self.path(file_id))

    def keep(
        self, draft: Draft, *, owner: str, filename: str, purpose: str, expires_s: int | None = None
    ) -> StoredFile:
        """Publish a draft as a file of an owner, in the place of one of its id. expires_s: from now."""
        draft.publish()
        moment = now()
        row = {
            "id": draft.final.name,
            "owner": owner,
            "filename": filename,
            "purpose": purpose,
            "bytes": draft.size,
            "sha256": draft.sha256,
            "created_at": moment,
            "expires_at": None if expires_s is None else moment + timedelta(seconds=expires_s),
        }
        with self._engine.begin() as connection:
            connection.execute(delete(files).where(files.c.id == row["id"], files.c.owner == owner))
            connection.execute(insert(files).values(row))
            return _read(connection.execute(select(files).where(files.c.id == row["id"])).one())

    def get(self, file_id: str, *, owner: str) -> StoredFile:
        """Raises UploadNotFound for a file that is unknown, another's, or expired."""
        if not SANE_ID.fullmatch(file_id):
            raise unknown(file_id)
        row = self._row(select(files).where(files.c.id == file_id, files.c.owner == owner, _alive()))
        if row is None:
            raise unknown(file_id)
        return _read(row)

    def page(
        self,
        *,
        owner: str,
        limit: int,
        purpose: str | None = None,
        after: str | None = None,
        newest_first: bool = True,
    ) -> FilePage:
        """Some of an owner's files. after: the last id that was seen. Raises UploadNotFound for it."""
        query = select(files).where(files.c.owner == owner, _alive())
        if purpose is not None:
            query = query.where(files.c.purpose == purpose)
        seen = None if after is None else self.get(after, owner=owner).seq
        rows, more = self._next_to(query, files.c.seq, limit=limit, after=seen, newest_first=newest_first)
        return FilePage(files=[_read(row) for row in rows], more=more)

    def used(self, owner: str) -> int:
        """Bytes that an owner's files take."""
        query = select(func.coalesce(func.sum(files.c.bytes), 0)).where(files.c.owner == owner)
        with self._engine.connect() as connection:
            return int(connection.execute(query).scalar_one())

    def remove(self, file_id: str, *, owner: str) -> None:
        """Forget a file. Raises UploadNotFound."""
        self.get(file_id, owner=owner)
        if not self._change(delete(files).where(files.c.id == file_id, files.c.owner == owner)):
            raise unknown(file_id)
        self.path(file_id).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Remove expired files, and bytes that a crash left without a row; returns how many."""
        removed = 0
        with self._engine.begin() as connection:
            expired = connection.execute(delete(files).where(~_alive()).returning(files.c.id)).scalars().all()
        for file_id in expired:
            self.path(file_id).unlink(missing_ok=True)
            removed += 1
        before = time.time() - LEFTOVER_S
        old = [path for path in self._folder.glob("*") if path.is_file() and _modified(path) < before]
        with self._engine.connect() as connection:
            known = set(connection.execute(select(files.c.id)).scalars()) if old else set()
        for path in old:
            if path.name not in known:
                path.unlink(missing_ok=True)
                removed += 1
        return removed


def new_id() -> str:
    """An id for a new file."""
    return f"file-{uuid.uuid4().hex[:24]}"


def unknown(file_id: str) -> UploadNotFound:
    """The error for a file that its asker cannot see."""
    return UploadNotFound(f"No such File object: {file_id[:128]}", hint="GET /v1/files lists yours", param="id")


def _alive() -> Any:
    return or_(files.c.expires_at.is_(None), files.c.expires_at > now())


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process swept it
        return time.time()


def _read(row: Row[Any]) -> StoredFile:
    return StoredFile(**row._mapping)
