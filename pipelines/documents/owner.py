"""The vector store's owner as a pipeline calls it, for one collection."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

from cluster.types import Chunk, CollectionCard, Document, EmbedderIdentity
from pipelines.documents.served import Connect, Served

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DEPLOYMENT = "VectorStore"
AT_ONCE = 500  # documents of one call: far below the 4 MiB that a message to a replica may have
REINDEX_PATIENCE_S = 24 * 3600.0
Item = TypeVar("Item")


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


class Owner:
    """One collection of the owner deployment. Raises its errors, and Unavailable when it stays away."""

    def __init__(self, application: str, collection: str, connect: Connect | None = None) -> None:
        self._served = Served(application, DEPLOYMENT, connect)
        self._collection = collection

    def held(self, ids: Sequence[str], *, chunker: str) -> dict[str, Document]:
        """See Vectors."""
        found: dict[str, Document] = {}
        for part in _parts(ids):
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
        for part in _parts(documents):
            self._served.call("publish_many", self._collection, tuple(part), chunker=chunker)

    def unpublish(self, sources: Sequence[str]) -> None:
        """See Vectors."""
        for part in _parts(sources):
            self._served.call("unpublish_sources", self._collection, tuple(part))

    def collections(self) -> tuple[CollectionCard, ...]:
        """All collections that hold something, by name."""
        return cast("tuple[CollectionCard, ...]", self._served.call("collections"))

    def remove_collection(self, collection: str) -> None:
        """Forget a collection and all that is in it. Raises CollectionNotFound."""
        self._served.call("remove_collection", collection)

    def delete(self, document_id: str) -> Document:
        """Forget a document under all its names. Raises DocumentNotFound."""
        return cast(Document, self._served.call("delete", self._collection, document_id))

    def reindex(self) -> int:
        """Write the collection's index anew from the vector files; how many chunks. Raises CollectionNotFound."""
        return int(self._served.call("reindex", self._collection, patience_s=REINDEX_PATIENCE_S))


def _parts(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))
