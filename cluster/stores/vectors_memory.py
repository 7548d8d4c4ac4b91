"""The vector store's fake: exact search in memory, gone with its process."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from cluster.documents import Chunk, EmbedderIdentity
from cluster.settings.stores import VectorSettings
from cluster.stores.ledger import Record
from cluster.stores.vector_index import BATCH, Page, StoredChunk
from cluster.stores.vectors import VectorStore

if TYPE_CHECKING:
    from numpy.typing import NDArray


class MemoryIndex:
    """See Index. Keeps all rows in dicts and compares a query with each of them."""

    def __init__(self, identity: EmbedderIdentity) -> None:
        self._identity = identity
        self._rows: dict[str, StoredChunk] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}
        self._records: dict[str, Record] = {}

    @property
    def identity(self) -> EmbedderIdentity:
        """See Index."""
        return self._identity

    def missing(self, ids: Sequence[str]) -> list[str]:
        """See Index."""
        return [chunk_id for chunk_id in ids if chunk_id not in self._rows]

    def upsert(self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str) -> None:
        """See Index."""
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._rows[chunk.id] = StoredChunk(chunk=chunk, chunker=chunker)
            self._vectors[chunk.id] = vector.copy()

    def get(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """See Index."""
        return {chunk_id: self._rows[chunk_id] for chunk_id in ids if chunk_id in self._rows}

    def vectors(self, ids: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """See Index."""
        return {chunk_id: self._vectors[chunk_id] for chunk_id in ids if chunk_id in self._vectors}

    def of_documents(self, document_ids: Sequence[str]) -> list[StoredChunk]:
        """See Index."""
        wanted = set(document_ids)
        return [row for row in self._rows.values() if row.chunk.document_id in wanted]

    def pages(self, *, vectors: bool = False) -> Iterator[Page]:
        """See Index."""
        rows = list(self._rows.values())
        for first in range(0, len(rows), BATCH):
            part = rows[first : first + BATCH]
            stacked = np.stack([self._vectors[row.chunk.id] for row in part]) if vectors else None
            yield Page(rows=part, vectors=stacked)

    def drop_document(self, document_id: str, *, keep: str | None = None) -> None:
        """See Index."""
        for key, row in list(self._rows.items()):
            if row.chunk.document_id == document_id and row.chunker != keep:
                del self._rows[key], self._vectors[key]

    def nearest(
        self, vector: "NDArray[np.float32]", *, limit: int, among: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """See Index."""
        wanted = None if among is None else set(among)
        rows = [row for row in self._rows.values() if wanted is None or row.chunk.document_id in wanted]
        near = [(row.chunk.id, float(np.clip(self._vectors[row.chunk.id] @ vector, -1, 1))) for row in rows]
        return sorted(near, key=lambda one: (-one[1], one[0]))[:limit]

    def count(self) -> int:
        """See Index."""
        return len(self._rows)

    def records(self) -> Iterator[Record]:
        """See Index."""
        return iter(list(self._records.values()))

    def save(self, records: Sequence[Record]) -> None:
        """See Index."""
        self._records.update({record.document.id: record for record in records})

    def forget(self, document_ids: Sequence[str]) -> None:
        """See Index."""
        for document_id in document_ids:
            self._records.pop(document_id, None)


class MemoryIndexes:
    """See Indexes."""

    def __init__(self) -> None:
        self._indexes: dict[str, MemoryIndex] = {}

    def names(self) -> list[str]:
        """See Indexes."""
        return sorted(self._indexes)

    def open(self, name: str) -> MemoryIndex | None:
        """See Indexes."""
        return self._indexes.get(name)

    def create(self, name: str, identity: EmbedderIdentity) -> MemoryIndex:
        """See Indexes."""
        self._indexes[name] = MemoryIndex(identity)
        return self._indexes[name]

    def drop(self, name: str) -> None:
        """See Indexes."""
        self._indexes.pop(name, None)

    def close(self) -> None:
        """See Indexes."""


class MemoryVectors(VectorStore):
    """A vector store in memory: for trying things out, and for tests."""

    def __init__(self, *, in_memory: int = VectorSettings().in_memory) -> None:
        super().__init__(MemoryIndexes(), in_memory=in_memory)
