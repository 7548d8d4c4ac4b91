"""What became of each file that was read into a collection, in the SQL database: for eyes, and to find changes.

Whether a document is there is for the vector store to say. A row here tells of its file's last reading: where
the file was, how it looked, how far it came and why it failed.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text, delete, insert, select

from cluster.batched import batched
from cluster.stores.database import metadata, storable
from cluster.stores.sql_store import SqlStore

AT_ONCE = 500  # rows of one statement

document_states = Table(
    "document_states",
    metadata,
    Column("key", String(64), primary_key=True),  # of collection and source, which together are too long for one
    Column("collection", String(512), nullable=False),
    Column("source", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("stamp", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("document_id", String(64), nullable=False),
    Column("stored_id", String(64), nullable=False),
    Column("chunker", String(64), nullable=False),
    Column("embedder", String(512), nullable=False),
    Column("chunks", Integer, nullable=False),
    Column("pages", Integer, nullable=False),
    Column("code", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("updated", Float, nullable=False),
    Index("document_states_collection", "collection"),
)


class State(StrEnum):
    """How far a file came. In `reading` and `embedding` it also is where a killed run left it."""

    QUEUED = "queued"
    READING = "reading"
    EMBEDDING = "embedding"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentState:
    """One file's last reading. stamp: what the file system said of it; empty where it is too young to be believed.

    document_id: SHA-256 of its bytes. stored_id: of those that were stored last. chunker: the fingerprint of
    parser, chunker and sizes. embedder: model and revision. pages: 0 where there are none. code, message, hint:
    why it failed. updated: Unix seconds.
    """

    collection: str
    source: str
    path: str = ""
    stamp: str = ""
    state: State = State.QUEUED
    document_id: str = ""
    stored_id: str = ""
    chunker: str = ""
    embedder: str = ""
    chunks: int = 0
    pages: int = 0
    code: str = ""
    message: str = ""
    hint: str = ""
    updated: float = 0.0


class DocumentStates(SqlStore):
    """Those of one database."""

    def save(self, states: Iterable[DocumentState]) -> None:
        """Write rows in the place of older ones of the same collection and source, all or none."""
        rows = {str(row["key"]): row for row in map(_row_of, states)}
        with self._engine.begin() as connection:
            # In one order, so that two runs over the same files wait for each other and never in a circle.
            keys = sorted(rows)
            for part in batched(keys, AT_ONCE):
                connection.execute(delete(document_states).where(document_states.c.key.in_(part)))
                connection.execute(insert(document_states), [rows[key] for key in part])

    def of(self, collection: str) -> dict[str, DocumentState]:
        """A collection's rows by source, in the order of their names."""
        table = document_states.c
        query = select(document_states).where(table.collection == collection).order_by(table.source)
        found = (dict(row._mapping) for row in self._rows(query))
        return {row["source"]: _state_of(row) for row in found}

    def forget(self, collection: str, sources: Iterable[str] | None = None) -> None:
        """Delete rows: of these sources, or of the whole collection."""
        if sources is None:
            self._change(delete(document_states).where(document_states.c.collection == collection))
            return
        keys = sorted(_key(collection, source) for source in sources)
        with self._engine.begin() as connection:
            for part in batched(keys, AT_ONCE):
                connection.execute(delete(document_states).where(document_states.c.key.in_(part)))


def _key(collection: str, source: str) -> str:
    return hashlib.sha256(f"{collection}\0{storable(source)}".encode()).hexdigest()


def _row_of(state: DocumentState) -> dict[str, object]:
    fields = {name: storable(value) if isinstance(value, str) else value for name, value in asdict(state).items()}
    return {**fields, "state": state.state.value, "key": _key(state.collection, state.source)}


def _state_of(row: dict[str, object]) -> DocumentState:
    fields = {name: value for name, value in row.items() if name != "key"}
    return DocumentState(**{**fields, "state": State(str(row["state"]))})  # type: ignore[arg-type]
