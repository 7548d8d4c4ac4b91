"""The vector store's fake: exact search in memory, gone with its process."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from cluster.stores.ledger import Ledger
from cluster.stores.vectors import check_identity
from cluster.types import Chunk, Document, EmbedderIdentity, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    chunk: Chunk
    vector: "NDArray[np.float32]"
    chunker: str


class MemoryVectors:
    """Keeps all rows in a dict and compares a query with each of them."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}
        self._ledger = Ledger()
        self._identity: EmbedderIdentity | None = None

    def held(self, document_id: str, *, chunker: str) -> Document | None:
        """See VectorStore."""
        return self._ledger.held(document_id, chunker)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """See VectorStore."""
        return [chunk_id for chunk_id in ids if chunk_id not in self._rows]

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """See VectorStore."""
        if self._identity is None or not self._rows:
            self._identity = identity
        check_identity(self._identity, identity, "memory")
        for chunk, vector in zip(chunks, vectors, strict=True):
            self._rows[chunk.id] = _Row(chunk=chunk, vector=vector.copy(), chunker=chunker)

    def publish(self, document: Document, *, chunker: str) -> None:
        """See VectorStore."""
        change = self._ledger.publish(document, chunker)
        self._ledger.apply(change)
        gone = set(change.removed)
        for key, row in list(self._rows.items()):
            stale = change.recut and row.chunk.document_id == document.id and row.chunker != chunker
            if stale or row.chunk.document_id in gone:
                del self._rows[key]

    def query(
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """See VectorStore."""
        if self._identity is None or not self._rows:
            return ()
        check_identity(self._identity, identity, "memory")
        found = []
        for row in self._rows.values():
            document = self._ledger.held(row.chunk.document_id, row.chunker)
            if document is not None:
                chunk = replace(row.chunk, source=document.source)
                found.append(Passage(chunk=chunk, score=float(np.clip(row.vector @ vector, -1, 1))))
        found.sort(key=lambda passage: (-passage.score, passage.chunk.id))
        return tuple(found[:limit])

    def documents(self) -> tuple[Document, ...]:
        """See VectorStore."""
        return self._ledger.documents()

    def delete(self, document_id: str) -> Document:
        """See VectorStore."""
        document = self._ledger.find(document_id).document
        self._ledger.remove(document_id)
        for key, row in list(self._rows.items()):
            if row.chunk.document_id == document_id:
                del self._rows[key]
        return document

    def count(self) -> int:
        """See VectorStore."""
        return len(self._rows)

    def identity(self) -> EmbedderIdentity | None:
        """See VectorStore."""
        return self._identity if self._rows else None

    def close(self) -> None:
        """See VectorStore."""
