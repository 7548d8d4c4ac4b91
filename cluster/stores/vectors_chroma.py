"""Vectors on Chroma, embedded or behind a URL: one owner, cosine, our own embeddings.

A second collection, `<collection>.ledger`, holds a record a published document.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from cluster.batched import batched
from cluster.documents import Chunk, EmbedderIdentity
from cluster.errors import StartFailed
from cluster.stores.chroma_connections import Connection, translated
from cluster.stores.ledger import Record, record_of
from cluster.stores.vector_index import BATCH, LEDGER, Page, StoredChunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = 1000  # records, or names of collections, read at once
CHUNK_FIELDS = ("document_id", "source", "ordinal", "start", "end", "tokens", "page", "heading")
READ = ["documents", "metadatas"]
EF_SEARCH = 400  # candidates of a search; recall@10 at 100,000 chunks: 128 gave 0.945, 256 0.995, 400 0.998


class ChromaIndex:
    """See Index."""

    def __init__(self, chunks: Any, records: Any, identity: EmbedderIdentity) -> None:
        self._chunks = chunks
        self._records = records
        self._identity = identity

    @property
    def identity(self) -> EmbedderIdentity:
        """See Index."""
        return self._identity

    def missing(self, ids: Sequence[str]) -> list[str]:
        """See Index."""
        stored: set[str] = set()
        with translated():
            for part in batched(list(ids), BATCH):
                stored.update(self._chunks.get(ids=part, include=[])["ids"])
        return [chunk_id for chunk_id in ids if chunk_id not in stored]

    def upsert(self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str) -> None:
        """See Index."""
        with translated():
            for first in range(0, len(chunks), BATCH):
                part = chunks[first : first + BATCH]
                self._chunks.upsert(
                    ids=[chunk.id for chunk in part],
                    embeddings=vectors[first : first + BATCH],
                    documents=[chunk.text for chunk in part],
                    metadatas=[_metadata(chunk, chunker) for chunk in part],
                )

    def get(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """See Index."""
        with translated():
            answers = [self._chunks.get(ids=part, include=READ) for part in batched(list(ids), BATCH)]
        found = [row for answer in answers for row in _rows(answer)]
        return {row.chunk.id: row for row in found}

    def vectors(self, ids: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """See Index."""
        found: dict[str, NDArray[np.float32]] = {}
        with translated():
            for part in batched(list(ids), BATCH):
                answer = self._chunks.get(ids=part, include=["embeddings"])
                found.update(zip(answer["ids"], np.asarray(answer["embeddings"], np.float32), strict=True))
        return found

    def of_documents(self, document_ids: Sequence[str]) -> list[StoredChunk]:
        """See Index."""
        with translated():
            return [
                row
                for part in batched(list(document_ids), BATCH)
                for row in _rows(self._chunks.get(where=_of(list(part)), include=READ))
            ]

    def pages(self, *, vectors: bool = False) -> Iterator[Page]:
        """See Index."""
        first, include = 0, [*READ, "embeddings"] if vectors else READ
        while True:
            with translated():
                answer = self._chunks.get(limit=PAGE, offset=first, include=include)
            rows = _rows(answer)
            if rows:
                stacked = np.asarray(answer["embeddings"], np.float32) if vectors else None
                yield Page(rows=rows, vectors=stacked)
            if len(rows) < PAGE:
                return
            first += PAGE

    def drop_document(self, document_id: str, *, keep: str | None = None) -> None:
        """See Index."""
        where: dict[str, Any] = {"document_id": document_id}
        if keep is not None:
            where = {"$and": [where, {"chunker": {"$ne": keep}}]}
        with translated():
            while ids := self._chunks.get(where=where, limit=BATCH, include=[])["ids"]:
                self._chunks.delete(ids=ids)

    def nearest(
        self, vector: "NDArray[np.float32]", *, limit: int, among: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """See Index. Names of documents are not asked for: they would cost 5 times what the search does."""
        where = None if among is None else _of(list(among))
        with translated():
            answer = self._chunks.query(
                query_embeddings=[vector], n_results=limit, where=where, include=["distances"]
            )
        found = zip(answer["ids"][0], answer["distances"][0], strict=True)
        return [(chunk_id, max(-1.0, min(1.0, 1.0 - distance))) for chunk_id, distance in found]

    def count(self) -> int:
        """See Index."""
        with translated():
            return int(self._chunks.count())

    def records(self) -> Iterator[Record]:
        """See Index."""
        first = 0
        while True:
            with translated():
                page = self._records.get(limit=PAGE, offset=first, include=["documents"])
            for text in page["documents"]:
                yield record_of(json.loads(text))
            if len(page["ids"]) < PAGE:
                return
            first += PAGE

    def save(self, records: Sequence[Record]) -> None:
        """See Index."""
        with translated():
            for part in batched(records, BATCH):
                self._records.upsert(
                    ids=[record.document.id for record in part],
                    embeddings=[[1.0]] * len(part),  # a record is found by its id: the vector is never used
                    documents=[json.dumps(asdict(record)) for record in part],
                )

    def forget(self, document_ids: Sequence[str]) -> None:
        """See Index."""
        with translated():
            for part in batched(list(document_ids), BATCH):
                self._records.delete(ids=part)


class ChromaIndexes:
    """See Indexes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = connection.client
        self._closed = False

    def names(self) -> list[str]:
        """See Indexes."""
        found: list[str] = []
        with translated():
            while page := self._client.list_collections(limit=PAGE, offset=len(found)):
                found += [collection.name for collection in page]
        known = set(found)
        return sorted(name for name in known if f"{name}{LEDGER}" in known)

    def open(self, name: str) -> ChromaIndex | None:
        """See Indexes."""
        from chromadb.errors import NotFoundError

        with translated():
            try:
                chunks = self._client.get_collection(name, embedding_function=None)
                records = self._client.get_collection(name + LEDGER, embedding_function=None)
            except NotFoundError:  # half of one is what is left where `drop` was killed
                return None
        metadata = dict(chunks.metadata or {})
        try:
            identity = EmbedderIdentity(
                model=metadata["model"], revision=metadata["revision"], dimensions=int(metadata["dimensions"])
            )
        except KeyError as error:
            raise StartFailed(
                f"The collection {name!r} was not made by Heliostat: it has no {error.args[0]!r}",
                hint="name another one in documents.collection",
            ) from None
        if metadata.get("ef_search") != EF_SEARCH:  # it was made by another version
            with translated():
                chunks.modify(
                    metadata={**metadata, "ef_search": EF_SEARCH},
                    configuration={"hnsw": {"ef_search": EF_SEARCH}},
                )
        return ChromaIndex(chunks, records, identity)

    def create(self, name: str, identity: EmbedderIdentity) -> ChromaIndex:
        """See Indexes."""
        self.drop(name)  # half of one would keep its old embedder, or its old records
        with translated():
            records = self._collection(name + LEDGER, {})
            return ChromaIndex(
                self._collection(name, {**asdict(identity), "ef_search": EF_SEARCH}), records, identity
            )

    def drop(self, name: str) -> None:
        """See Indexes."""
        from chromadb.errors import NotFoundError

        with translated():
            for one in (name + LEDGER, name):
                with suppress(NotFoundError):
                    self._client.delete_collection(one)

    def close(self) -> None:
        """See Indexes."""
        if self._closed:
            return
        self._closed = True
        self._connection.close()

    def _collection(self, name: str, metadata: dict[str, Any]) -> Any:
        return self._client.get_or_create_collection(
            name,
            metadata=metadata or None,
            configuration={"hnsw": {"space": "cosine", "ef_search": EF_SEARCH}},  # the space can't be changed later
            embedding_function=None,
        )


def _of(document_ids: list[str]) -> dict[str, Any]:
    return {"document_id": document_ids[0] if len(document_ids) == 1 else {"$in": document_ids}}


def _metadata(chunk: Chunk, chunker: str) -> dict[str, str | int]:
    fields: dict[str, str | int | None] = {name: getattr(chunk, name) for name in CHUNK_FIELDS}
    return {"chunker": chunker} | {name: value for name, value in fields.items() if value is not None}


def _rows(answer: Any) -> list[StoredChunk]:
    rows = []
    for chunk_id, text, metadata in zip(answer["ids"], answer["documents"], answer["metadatas"], strict=True):
        fields = {name: metadata.get(name) for name in CHUNK_FIELDS}
        chunk = Chunk(id=chunk_id, text=text, **cast(Any, fields))
        rows.append(StoredChunk(chunk=chunk, chunker=metadata["chunker"]))
    return rows
