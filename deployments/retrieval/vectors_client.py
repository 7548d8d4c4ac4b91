"""The vector store's owner as the retriever sees it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, MetadataValue, Passage, SearchCall
from cluster.types import Health
from deployments.handles import reply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ray.serve.handle import DeploymentHandle


class VectorsClient:
    """The vector store's owner behind a Serve handle; see cluster.stores.vectors.VectorStore."""

    def __init__(self, handle: "DeploymentHandle[Any]") -> None:
        self._handle = handle

    async def held_many(
        self, collection: str, document_ids: Sequence[str], *, chunker: str
    ) -> tuple[Document | None, ...]:
        """The published documents, where they were cut by this chunker."""
        call = self._handle.held_many.remote(collection, list(document_ids), chunker=chunker)
        return cast("tuple[Document | None, ...]", await reply(call))

    async def missing(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return cast("list[str]", await reply(self._handle.missing.remote(collection, list(ids))))

    async def upsert(
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None:
        """Write chunks and their vectors."""
        await reply(
            self._handle.upsert.remote(collection, tuple(chunks), vectors, chunker=chunker, identity=identity)
        )

    async def publish_many(
        self, collection: str, documents: Sequence[Document], *, chunker: str
    ) -> tuple[Document, ...]:
        """Make documents visible under their sources."""
        call = self._handle.publish_many.remote(collection, tuple(documents), chunker=chunker)
        return cast("tuple[Document, ...]", await reply(call))

    async def documents(self, collection: str) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return cast("tuple[Document, ...]", await reply(self._handle.documents.remote(collection)))

    async def document(self, collection: str, document_id: str) -> Document:
        """One published document."""
        return cast(Document, await reply(self._handle.document.remote(collection, document_id)))

    async def chunks(self, collection: str, document_id: str, *, first: int, limit: int) -> tuple[Chunk, ...]:
        """A document's chunks in order."""
        call = self._handle.chunks.remote(collection, document_id, first=first, limit=limit)
        return cast("tuple[Chunk, ...]", await reply(call))

    async def annotate(
        self,
        collection: str,
        document_id: str,
        *,
        tags: Sequence[str] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata."""
        call = self._handle.annotate.remote(collection, document_id, tags=tags, metadata=metadata)
        return cast(Document, await reply(call))

    async def delete(self, collection: str, document_id: str) -> Document:
        """Forget a document and its chunks."""
        return cast(Document, await reply(self._handle.delete.remote(collection, document_id)))

    async def search(
        self,
        collection: str,
        call: SearchCall,
        vector: "NDArray[np.float32] | None",
        *,
        identity: EmbedderIdentity,
    ) -> tuple[Passage, ...]:
        """The best published chunks, best first."""
        asked = self._handle.search.remote(collection, call, vector, identity=identity)
        return cast("tuple[Passage, ...]", await reply(asked))

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return cast("tuple[CollectionCard, ...]", await reply(self._handle.collections.remote()))

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection."""
        await reply(self._handle.remove_collection.remote(collection))

    async def reindex(self, collection: str) -> int:
        """Write a collection's index anew from its vector files."""
        return cast(int, await reply(self._handle.reindex.remote(collection)))

    async def health(self) -> Health:
        """How the store is, and how much it holds."""
        return cast(Health, await reply(self._handle.health.remote()))
