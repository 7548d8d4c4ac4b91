"""What searches keep in memory of a collection: whose each published chunk is, its words, its text, its vector.

Reading ten chunks from Chroma costs as much as finding them (3 ms), reading the vectors of a hundred twice that.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cluster import headings
from cluster.documents import Chunk
from cluster.retrieval.lexical import LexicalIndex
from cluster.stores.ledger import Ledger
from cluster.stores.vector_index import Index
from cluster.stores.vector_table import VectorTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXACT = 20_000  # vectors that are compared one by one: 8 million products take some 4 ms; more are for the index
OVER = 1.3  # times as many as a filter should need are asked of the index
TRIES = 2  # of which the second knows what the first left
MOST = 1000  # chunks asked of the index for a filter: more cost more than comparing 50,000 one by one


class Searchable:
    """Published chunks. table: None where there are too many to keep their vectors and texts in memory as well."""

    def __init__(self, index: Index, table: VectorTable | None) -> None:
        self._index = index
        self._table = table
        self._ids: dict[str, tuple[str, ...]] = {}
        self._chunks: dict[str, Chunk] = {}
        self.words = LexicalIndex()
        self.document_of: dict[str, str] = {}

    @classmethod
    def load(cls, index: Index, ledger: Ledger, *, most: int) -> "Searchable":
        """All that the ledger says is published. most: of more chunks than that, no vectors and texts are kept."""
        table = VectorTable(index.identity.dimensions) if index.count() <= most else None
        loaded = cls(index, table)
        chunks: dict[str, list[Chunk]] = defaultdict(list)
        parts: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
        for page in index.pages(vectors=table is not None):
            for place, row in enumerate(page.rows):
                document_id = row.chunk.document_id
                if ledger.held(document_id, row.chunker) is not None:
                    chunks[document_id].append(row.chunk)
                    if page.vectors is not None:
                        parts[document_id].append(page.vectors[place])
        while chunks:  # what is read leaves as it is taken over: both at once would be twice the memory
            document_id, rows = chunks.popitem()
            loaded._take(document_id, rows, np.stack(parts.pop(document_id)) if table is not None else None)
        return loaded

    def __len__(self) -> int:
        """How many chunks there are."""
        return len(self.document_of)

    def add(self, document_id: str, chunks: Sequence[Chunk]) -> None:
        """A document is published, or cut anew: its stored chunks."""
        if self._table is None:
            self._take(document_id, chunks, None)
            return
        vectors = self._index.vectors([chunk.id for chunk in chunks])
        kept = [chunk for chunk in chunks if chunk.id in vectors]
        self._take(document_id, kept, np.stack([vectors[chunk.id] for chunk in kept]) if kept else None)

    def remove(self, document_id: str) -> None:
        """A document leaves; one that is not here is no error."""
        for chunk_id in self._ids.pop(document_id, ()):
            del self.document_of[chunk_id]
            self._chunks.pop(chunk_id, None)
        self.words.remove(document_id)
        if self._table is not None:
            self._table.remove(document_id)

    def chunks(self, ids: Sequence[str]) -> dict[str, Chunk]:
        """The published ones of these, by id."""
        if self._table is not None:
            return {chunk_id: self._chunks[chunk_id] for chunk_id in ids if chunk_id in self._chunks}
        return {chunk_id: row.chunk for chunk_id, row in self._index.get(ids).items()}

    def vectors(self, ids: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """The vectors of these chunks, by id."""
        return self._index.vectors(ids) if self._table is None else self._table.vectors(ids)

    def nearest(
        self, vector: "NDArray[np.float32]", *, limit: int, among: frozenset[str] | None
    ) -> list[tuple[str, float]]:
        """The nearest chunks with their cosines, nearest first. Less than `limit` are all that there are."""
        table, count = self._table, len(self)
        if among is not None and table is not None:
            count = table.count(among)
        elif among is not None:
            count = sum(len(self._ids.get(document_id, ())) for document_id in among)
        if table is not None and count <= EXACT:
            return table.nearest(vector, limit=limit, among=among)
        found = self._first(vector, limit) if among is None else self._within(vector, limit, count, among)
        if found is not None:
            return found
        if table is not None:
            return table.nearest(vector, limit=limit, among=among)
        near = self._index.nearest(vector, limit=limit, among=None if among is None else sorted(among))
        return [(chunk_id, cosine) for chunk_id, cosine in near if chunk_id in self.document_of]

    def _first(self, vector: "NDArray[np.float32]", limit: int) -> list[tuple[str, float]] | None:
        """The index's nearest that are published: those on their way are many, so more and more are asked for."""
        wanted = limit
        while True:
            near = self._index.nearest(vector, limit=wanted)
            found = [(chunk_id, cosine) for chunk_id, cosine in near if chunk_id in self.document_of]
            if len(found) >= min(limit, len(self)):
                return found[:limit]
            if len(near) < wanted:
                return None
            wanted *= 2

    def _within(
        self, vector: "NDArray[np.float32]", limit: int, count: int, among: frozenset[str]
    ) -> list[tuple[str, float]] | None:
        """What a filter leaves of the index's nearest. count: of its chunks. None where that is far from here."""
        wanted = OVER * limit * len(self) / max(count, 1)
        for _ in range(TRIES):
            if wanted > MOST:
                return None
            near = self._index.nearest(vector, limit=math.ceil(wanted))
            found = [(chunk_id, cosine) for chunk_id, cosine in near if self.document_of.get(chunk_id) in among]
            if len(found) >= min(limit, count):
                return found[:limit]
            wanted *= OVER * limit / max(len(found), 1)  # by what it left of the first ones
        return None

    def _take(self, document_id: str, chunks: Sequence[Chunk], vectors: "NDArray[np.float32] | None") -> None:
        self.remove(document_id)
        order = sorted(range(len(chunks)), key=lambda place: chunks[place].ordinal)
        ids = tuple(chunks[place].id for place in order)
        self._ids[document_id] = ids
        self.document_of.update(dict.fromkeys(ids, document_id))
        self.words.add(document_id, [(chunks[place].id, _words(chunks[place])) for place in order])
        if self._table is not None and vectors is not None:
            self._table.add(document_id, ids, vectors[order])
            source = chunks[0].source  # one text for all of a document's chunks
            self._chunks.update(
                (chunk.id, replace(chunk, document_id=document_id, source=source)) for chunk in chunks
            )


def _words(chunk: Chunk) -> str:
    """A chunk's text after the headings above it that it does not hold itself: it is looked for by their words."""
    above = headings.parts(chunk.heading or "")
    return "\n".join((*(heading for heading in above if heading and heading not in chunk.text), chunk.text))
