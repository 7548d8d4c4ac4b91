"""Whose collections are, and by which names: in the SQL database. What they hold is in the vector store.

A collection is addressed by its id or, within its owner's, by its name; the vector store knows it by another name,
its physical one, which is drawn at random where several people share a cluster: nobody can name another's. One that
was deleted and made again has a new one, so nothing of the old can come back.
"""

import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import Integer, String, Text

from cluster.errors import CollectionNotFound, Conflict
from cluster.stores.database import OWNER, UtcTime, metadata, now, storable
from cluster.stores.sql_store import SqlStore

ID_PREFIX = "vs_"  # of ids; no name begins so
TENANT_PREFIX = "t-"  # of physical names that were drawn; no other begins so
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,126}[A-Za-z0-9]")
SANE = re.compile(r"[A-Za-z0-9._-]{1,512}")  # PostgreSQL takes no text with a NUL, not even to look for
USE_NOTED_S = 60.0  # a use is noted this often at most: each note is a write

collections = Table(
    "collections",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("owner", String(OWNER), nullable=False),
    Column("name", String(128), nullable=False),
    Column("physical", String(512), nullable=False, unique=True),
    Column("title", Text),  # what OpenAI calls a vector store's name: anything, and not unique
    Column("description", Text),
    Column("notes", Text, nullable=False),  # JSON object
    Column("expires_days", Integer),
    Column("used_at", UtcTime, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Index("collections_name", "owner", "name", unique=True),
    Index("collections_owner", "owner", "seq"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """One collection. seq: its place in the order of creation. physical: its name in the vector store.

    title, notes: its owner's words. expires_days: after its last use; None is never.
    """

    seq: int
    id: str
    owner: str
    name: str
    physical: str
    title: str | None
    description: str | None
    notes: Mapping[str, Any]
    expires_days: int | None
    used_at: datetime
    created_at: datetime

    @property
    def expires_at(self) -> datetime | None:
        """When it expires if nobody uses it until then."""
        return None if self.expires_days is None else self.used_at + timedelta(days=self.expires_days)

    def expired(self, moment: datetime) -> bool:
        """Whether it may be used no more."""
        return self.expires_at is not None and self.expires_at <= moment


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionPage:
    """Some of an owner's collections. more: whether there are others after them."""

    collections: Sequence[Collection]
    more: bool


class CollectionNames(SqlStore):
    """Those of one database."""

    def create(
        self,
        *,
        owner: str,
        name: str | None = None,
        physical: str | None = None,
        title: str | None = None,
        description: str | None = None,
        notes: Mapping[str, Any] | None = None,
        expires_days: int | None = None,
    ) -> Collection:
        """Store a new one. name: its id, where None. physical: drawn, where None.

        Raises Conflict where the owner has one of that name, or the physical name is taken.
        """
        moment, collection_id = now(), new_id()
        row = {
            "id": collection_id,
            "owner": owner,
            "name": name or collection_id,
            "physical": physical or f"{TENANT_PREFIX}{uuid.uuid4().hex}",
            "title": _text(title),
            "description": _text(description),
            "notes": json.dumps(dict(notes or {})),
            "expires_days": expires_days,
            "used_at": moment,
            "created_at": moment,
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(collections).values(row))
                return _read(connection.execute(select(collections).where(collections.c.id == collection_id)).one())
        except IntegrityError:
            raise taken(name or physical or collection_id) from None

    def get(self, name_or_id: str, *, owner: str) -> Collection:
        """One of an owner's, by id or name. Raises CollectionNotFound."""
        if not SANE.fullmatch(name_or_id):
            raise unknown(name_or_id)
        table = collections.c
        here = or_(table.id == name_or_id, table.name == name_or_id)
        row = self._row(select(collections).where(table.owner == owner, here))
        if row is None:
            raise unknown(name_or_id)
        return _read(row)

    def page(
        self,
        *,
        owner: str,
        limit: int,
        after: str | None = None,
        before: str | None = None,
        newest_first: bool = True,
    ) -> CollectionPage:
        """Some of an owner's. after, before: ids next to the page. Raises CollectionNotFound for them."""
        rows, more = self._next_to(
            select(collections).where(collections.c.owner == owner),
            collections.c.seq,
            limit=limit,
            after=None if after is None else self.get(after, owner=owner).seq,
            before=None if before is None else self.get(before, owner=owner).seq,
            newest_first=newest_first,
        )
        return CollectionPage(collections=[_read(row) for row in rows], more=more)

    def all(self, *, owner: str) -> tuple[Collection, ...]:
        """All of an owner's, the newest first."""
        query = select(collections).where(collections.c.owner == owner).order_by(collections.c.seq.desc())
        return tuple(_read(row) for row in self._rows(query))

    def expired(self, moment: datetime) -> tuple[Collection, ...]:
        """Everybody's that may be used no more."""
        table = collections.c
        old = select(collections).where(table.expires_days.is_not(None), table.used_at < moment - timedelta(days=1))
        return tuple(one for one in map(_read, self._rows(old.order_by(table.seq))) if one.expired(moment))

    def change(self, name_or_id: str, *, owner: str, **values: Any) -> Collection:
        """Write other values of title, description, notes, expires_days or name. Raises as `get`, and Conflict."""
        found = self.get(name_or_id, owner=owner)
        fields: dict[str, Any] = {
            key: storable(value) if isinstance(value, str) else value for key, value in values.items()
        }
        if "notes" in fields:
            fields["notes"] = json.dumps(dict(fields["notes"] or {}))
        try:
            self._change(update(collections).where(collections.c.id == found.id).values(used_at=now(), **fields))
        except IntegrityError:
            raise taken(str(values.get("name"))) from None
        return self.get(found.id, owner=owner)

    def use(self, collection: Collection) -> None:
        """Note that one is used, which keeps it from expiring; not more often than once a minute."""
        moment = now()
        if (moment - collection.used_at).total_seconds() >= USE_NOTED_S:
            self._change(update(collections).where(collections.c.id == collection.id).values(used_at=moment))

    def remove(self, collection_id: str, *, owner: str) -> None:
        """Forget one. Raises CollectionNotFound."""
        here = (collections.c.id == collection_id) & (collections.c.owner == owner)
        if not self._change(delete(collections).where(here)):
            raise unknown(collection_id)


def new_id() -> str:
    """An id for a new collection."""
    return f"{ID_PREFIX}{uuid.uuid4().hex[:24]}"


def is_operators(name: str) -> bool:
    """Whether a name in the vector store can be one that the operator chose: no drawn one, and no id."""
    return bool(NAME.fullmatch(name)) and not name.startswith((TENANT_PREFIX, ID_PREFIX))


def unknown(name_or_id: str) -> CollectionNotFound:
    """The error for a collection that its asker cannot see."""
    hint = "GET /api/v1/collections lists yours"
    return CollectionNotFound(f"No collection {name_or_id[:128]!r}", hint=hint, param="collection")


def taken(name: str) -> Conflict:
    """The error for a name that is in use."""
    return Conflict(f"There is a collection {name[:128]!r} already", hint="choose another name", param="name")


def _text(value: str | None) -> str | None:
    return None if value is None else storable(value)


def _read(row: Row[Any]) -> Collection:
    fields = dict(row._mapping)
    return Collection(**{**fields, "notes": json.loads(fields["notes"])})
