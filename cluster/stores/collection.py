"""One collection: its index, its ledger, the words of its chunks, and a search over them.

A document becomes visible in one step: its chunks are upserted first, and no search finds them until `publish`
enters the document in the ledger. The version that it replaces leaves in the same step. Chunks of what left are
deleted afterwards; whoever is killed before that does it at the next opening. All that the index holds is written
to the vector files first, so that it can be built anew.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, MetadataValue, Passage, SearchCall
from cluster.errors import BadRequest, Conflict, EmbedderMismatch
from cluster.filters import parse_filter
from cluster.stores.ledger import Change, Ledger
from cluster.stores.reclaiming import reclaim
from cluster.stores.search import Search
from cluster.stores.searchable import Searchable
from cluster.stores.vector_files import VectorFiles
from cluster.stores.vector_index import Index, Indexes

if TYPE_CHECKING:
    from numpy.typing import NDArray

PUBLISHED_AT_ONCE = 200  # documents whose records are written together, with those that they replace, or not at all
NO_ROWS: Mapping[str, Sequence[Chunk]] = {}


class Collection:
    """See VectorStore for what each method promises. It is opened here, and made by its first `upsert`."""

    def __init__(self, name: str, indexes: Indexes, files: VectorFiles | None = None, *, in_memory: int) -> None:
        """in_memory: of more chunks than that, searches keep no vectors and texts in memory."""
        self._name = name
        self._in_memory = in_memory
        self._indexes = indexes
        self._files = files
        self._index: Index | None = indexes.open(name)
        self._ledger = Ledger(self._index.records() if self._index is not None else ())
        self._searchable: Searchable | None = None  # read in at the first search
        self._note_records()
        self._tidy()

    def held(self, document_ids: Sequence[str], *, chunker: str) -> tuple[Document | None, ...]:
        """The published documents, where they were cut by this chunker."""
        return tuple(self._ledger.held(document_id, chunker) for document_id in document_ids)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return list(ids) if self._index is None else self._index.missing(ids)

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their vectors."""
        check_vectors(vectors, (len(chunks), identity.dimensions))
        self._tidy()  # what waits to be deleted must not take these with it
        if self._index is not None and self._index.identity != identity and not len(self._ledger):
            self._index = None  # an empty one takes any embedder
            if self._files is not None:
                self._files.drop(self._name)
        if self._index is None:
            self._index = self._indexes.create(self._name, identity)
            self._searchable = None
        self._check_identity(self._index.identity, identity)
        if self._files is not None:
            self._files.save(self._name, chunks, vectors, chunker=chunker, identity=identity)
        self._index.upsert(chunks, vectors, chunker=chunker)

    def publish(self, documents: Sequence[Document], *, chunker: str) -> tuple[Document, ...]:
        """Make documents visible under their sources."""
        for first in range(0, len(documents), PUBLISHED_AT_ONCE):
            part = documents[first : first + PUBLISHED_AT_ONCE]
            rows = self._complete([one for one in part if self._ledger.held(one.id, chunker) is None], chunker)
            changes = []
            for document in part:  # each is decided on after those before it
                changes.append(self._ledger.publish(document, chunker))
                self._ledger.apply(changes[-1])
            self._write(Change(saved=tuple(record for change in changes for record in change.saved)), rows)
        return tuple(self._ledger.find(document.id).document for document in documents)

    def unpublish(self, sources: Sequence[str]) -> tuple[Document, ...]:
        """Take names away."""
        change = self._ledger.unpublish(sources)
        self._ledger.apply(change)
        self._write(change)
        return tuple(record.document for record in change.saved if record.leaving)

    def documents(self) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return self._ledger.documents()

    def document(self, document_id: str) -> Document:
        """One published document."""
        return self._ledger.find(document_id).document

    def chunks(self, document_id: str, *, first: int, limit: int) -> tuple[Chunk, ...]:
        """A document's chunks in order."""
        record = self._ledger.find(document_id)
        assert self._index is not None  # where a document is published
        rows = [row.chunk for row in self._index.of_documents([document_id]) if row.chunker == record.chunker]
        rows.sort(key=lambda chunk: chunk.ordinal)
        shown = [chunk for chunk in rows if chunk.ordinal >= first][:limit]
        return tuple(replace(chunk, source=record.document.source) for chunk in shown)

    def annotate(
        self, document_id: str, *, tags: Sequence[str] | None, metadata: Mapping[str, MetadataValue] | None
    ) -> Document:
        """Set a document's tags and metadata."""
        change = self._ledger.annotate(document_id, tags=tags, metadata=metadata)
        self._ledger.apply(change)
        self._write(change)
        return self.document(document_id)

    def delete(self, document_id: str) -> Document:
        """Forget a document and its chunks."""
        document = self.document(document_id)
        change = self._ledger.removal(document_id)
        self._ledger.apply(change)
        self._write(change)
        return document

    def search(
        self, call: SearchCall, vector: "NDArray[np.float32] | None", *, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """The best chunks of published documents."""
        wanted = None if call.where is None else parse_filter(call.where, param="where")
        if vector is not None:
            check_vectors(vector[None], (1, identity.dimensions))
        if self._index is None or not len(self._ledger):
            return ()
        self._check_identity(self._index.identity, identity)
        among = None if wanted is None else self._ledger.matching(wanted)
        return Search(self._ledger, self._loaded(self._index)).find(call, vector, among)

    def reclaim(self, *, before: float, spared: Container[str]) -> int:
        """Delete chunks that nobody published; of how many documents. See cluster.stores.reclaiming."""
        if self._index is None or self._files is None:
            return 0
        return reclaim(self._name, self._index, self._ledger, self._files, before=before, spared=spared)

    @property
    def made(self) -> bool:
        """Whether there is such a collection: from its first `upsert` until it is removed."""
        return self._index is not None

    @property
    def loaded(self) -> int:
        """How many chunks are in memory for searches."""
        return 0 if self._searchable is None else len(self._searchable)

    def load(self) -> None:
        """Read in what a search needs, before the first one."""
        if self._index is not None and len(self._ledger):
            self._loaded(self._index)

    def unload(self) -> None:
        """Let that go until the next search."""
        self._searchable = None

    def card(self) -> CollectionCard:
        """The collection as others see it."""
        count = self.count()
        identity = self._index.identity if self._index is not None and count else None
        return CollectionCard(name=self._name, documents=len(self._ledger), chunks=count, identity=identity)

    def count(self) -> int:
        """How many chunks are stored."""
        return 0 if self._index is None else self._index.count()

    def _complete(self, documents: Sequence[Document], chunker: str) -> dict[str, list[Chunk]]:
        """The chunks of documents that are to be published. Raises Conflict where some are not stored."""
        rows: dict[str, list[Chunk]] = {document.id: [] for document in documents}
        stored = self._index.of_documents(list(rows)) if rows and self._index is not None else []
        for row in stored:
            if row.chunker == chunker:
                rows[row.chunk.document_id].append(row.chunk)
        for document in documents:
            found = len(rows[document.id])
            if found < document.chunks:
                raise Conflict(
                    f"{document.source}: {found} of its {document.chunks} chunks are stored", hint="store it again"
                )
        return rows

    def _write(self, change: Change, rows: Mapping[str, Sequence[Chunk]] = NO_ROWS) -> None:
        """Carry out what the ledger knows already. rows: the chunks of documents that are new, or newly cut."""
        last = {record.document.id: record for record in change.saved}
        if not last or self._index is None:
            return
        leaving = [document_id for document_id, record in last.items() if record.leaving]
        staying = [record for record in last.values() if not record.leaving]
        # What the files say is published always is, whenever this is killed: an ingest believes them.
        if self._files is not None:
            self._files.save_records(self._name, (), removed=leaving)
        self._index.save(tuple(last.values()))
        if self._files is not None:
            self._files.save_records(self._name, staying)
        if self._searchable is not None:
            for document_id, record in last.items():
                if record.leaving:
                    self._searchable.remove(document_id)
                elif document_id in rows:
                    self._searchable.add(document_id, rows[document_id])
        self._tidy()

    def _note_records(self) -> None:
        """Tell the files what a killed owner had published and not told them yet."""
        if self._files is not None and self._index is not None:
            told = {record.document.id: record for record in self._files.read_records(self._name)}
            new = [record for record in self._ledger.records() if told.get(record.document.id) != record]
            self._files.save_records(self._name, new)

    def _tidy(self) -> None:
        """Delete the chunks of what left; then forget that they had to be."""
        if self._index is None:
            return
        leaving = []
        for record in self._ledger.unfinished():
            document_id, kept = record.document.id, None if record.leaving else record.chunker
            self._index.drop_document(document_id, keep=kept)
            if record.leaving:
                leaving.append(document_id)
            elif self._files is not None:
                self._files.forget(self._name, document_id, kept_chunker=kept)
        if leaving and self._files is not None:
            self._files.forget(self._name, *leaving)
        done = [self._ledger.finished(record.document.id) for record in self._ledger.unfinished()]
        self._index.save([record for record in done if record is not None])
        self._index.forget(leaving)

    def _loaded(self, index: Index) -> Searchable:
        if self._searchable is None:
            self._searchable = Searchable.load(index, self._ledger, most=self._in_memory)
        return self._searchable

    def _check_identity(self, stored: EmbedderIdentity, asked: EmbedderIdentity) -> None:
        if stored != asked:
            raise EmbedderMismatch(
                f"Collection {self._name!r} was filled by {_name(stored)}, but the embedder now is {_name(asked)}",
                hint="go back to that embedder, name another collection, or delete the documents first",
            )


def check_vectors(vectors: "NDArray[np.float32]", shape: tuple[int, int]) -> None:
    """Refuse what would be found nowhere, or everywhere. Raises BadRequest."""
    if vectors.shape != shape:
        raise BadRequest(
            f"The vectors have the shape {vectors.shape}, not {shape}", hint="one for each chunk, of the embedder's"
        )
    if not np.isfinite(vectors).all():
        raise BadRequest("A vector has a NaN or an infinity in it", hint="look at the embedder")


def _name(identity: EmbedderIdentity) -> str:
    return f"{identity.model} (revision {identity.revision}, {identity.dimensions} dimensions)"
