"""The vector store's owner as a pipeline calls it, for one collection."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, cast

from cluster.batched import batched
from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, MetadataValue
from pipelines.documents.served import Connect, Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPLOYMENT = "VectorStore"
AT_ONCE = 500  # documents of one call: far below the 4 MiB that a message to a replica may have
REINDEX_PATIENCE_S = 24 * 3600.0


class Vectors(Protocol):
    """What a pipeline needs of one collection; see cluster.stores.vectors.VectorStore. All may be done twice."""

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        """Those of the documents that are published as this chunker cut them."""
        ...

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        ...

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their vectors. Raises EmbedderMismatch."""
        ...

    def publish(self, documents: Sequence[Document], *, chunker: str) -> None:
        """Make documents visible under their sources."""
        ...

    def unpublish(self, sources: Sequence[str]) -> None:
        """Take names away; a document without a name leaves."""
        ...

    def reclaim(self, *, before: float, spared: Sequence[str]) -> None:
        """Delete the chunks that were stored before that time and never published; not of the spared documents."""
        ...


class Shelf(Vectors, Protocol):
    """A collection that can be read and tidied, too."""

    def documents(self) -> tuple[Document, ...]:
        """All published documents."""
        ...

    def document(self, document_id: str) -> Document:
        """One published document. Raises DocumentNotFound."""
        ...

    def chunks(self, document_id: str, *, first: int, limit: int) -> tuple[Chunk, ...]:
        """A document's chunks in order, at most `limit` from the ordinal `first`. Raises DocumentNotFound."""
        ...

    def annotate(
        self, document_id: str, *, tags: Sequence[str] | None, metadata: Mapping[str, MetadataValue] | None
    ) -> None:
        """Set tags and metadata in place of a document's own. Raises DocumentNotFound."""
        ...

    def delete(self, document_id: str) -> Document:
        """Forget a document under all its names. Raises DocumentNotFound."""
        ...


class Owner:
    """One collection of the owner deployment. Raises its errors, and Unavailable when it stays away."""

    def __init__(self, application: str, collection: str, connect: Connect | None = None) -> None:
        self._served = Served(application, DEPLOYMENT, connect)
        self._collection = collection

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        """See Vectors."""
        found: dict[str, Document] = {}
        for part in batched(ids, AT_ONCE):
            answer = self._served.call("held_many", self._collection, list(part), chunker=chunker)
            found.update((document.id, document) for document in answer if document is not None)
        return found

    def missing(self, ids: Sequence[str]) -> list[str]:
        """See Vectors."""
        return cast("list[str]", self._served.call("missing", self._collection, list(ids)))

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """See Vectors."""
        self._served.call("upsert", self._collection, tuple(chunks), vectors, chunker=chunker, identity=identity)

    def publish(self, documents: Sequence[Document], *, chunker: str) -> None:
        """See Vectors."""
        for part in batched(documents, AT_ONCE):
            self._served.call("publish_many", self._collection, tuple(part), chunker=chunker)

    def unpublish(self, sources: Sequence[str]) -> None:
        """See Vectors."""
        for part in batched(sources, AT_ONCE):
            self._served.call("unpublish_sources", self._collection, tuple(part))

    def reclaim(self, *, before: float, spared: Sequence[str]) -> None:
        """See Vectors."""
        self._served.call("reclaim", self._collection, before=before, spared=tuple(spared))

    def collections(self) -> tuple[CollectionCard, ...]:
        """All collections that hold something, by name."""
        return cast("tuple[CollectionCard, ...]", self._served.call("collections"))

    def remove_collection(self, collection: str) -> None:
        """Forget a collection and all that is in it. Raises CollectionNotFound."""
        self._served.call("remove_collection", collection)

    def documents(self) -> tuple[Document, ...]:
        """See Shelf."""
        return cast("tuple[Document, ...]", self._served.call("documents", self._collection))

    def document(self, document_id: str) -> Document:
        """See Shelf."""
        return cast(Document, self._served.call("document", self._collection, document_id))

    def chunks(self, document_id: str, *, first: int, limit: int) -> tuple[Chunk, ...]:
        """See Shelf."""
        found = self._served.call("chunks", self._collection, document_id, first=first, limit=limit)
        return cast("tuple[Chunk, ...]", found)

    def annotate(
        self, document_id: str, *, tags: Sequence[str] | None, metadata: Mapping[str, MetadataValue] | None
    ) -> None:
        """See Shelf."""
        self._served.call("annotate", self._collection, document_id, tags=tags, metadata=metadata)

    def delete(self, document_id: str) -> Document:
        """Forget a document under all its names. Raises DocumentNotFound."""
        return cast(Document, self._served.call("delete", self._collection, document_id))

    def reindex(self) -> int:
        """Write the collection's index anew from the vector files; how many chunks. Raises CollectionNotFound."""
        return int(self._served.call("reindex", self._collection, patience_s=REINDEX_PATIENCE_S))
