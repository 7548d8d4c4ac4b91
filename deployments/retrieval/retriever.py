"""The retriever as a Serve deployment: a shell over a library."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.documents import (
    Added,
    Chunk,
    CollectionCard,
    Document,
    MetadataValue,
    NewDocument,
    Passage,
    SearchCall,
)
from cluster.settings.tree import Settings
from cluster.stores.embedding_cache import FILE, EmbeddingCache
from cluster.types import Health
from deployments.clients import NO_METADATA
from deployments.handles import ChunkingEmbedderClient
from deployments.retrieval.library import Library
from deployments.retrieval.vectors_client import VectorsClient

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle

MIB = 1024**2


class Retriever:
    """See deployments.clients.Retriever for what each method promises."""

    def __init__(
        self, settings: Settings, embedder: "DeploymentHandle[Any]", vectors: "DeploymentHandle[Any]"
    ) -> None:
        cache = EmbeddingCache(settings.home_path / FILE, max_bytes=settings.documents.embedding_cache_mib * MIB)
        self._library = Library(settings.documents, ChunkingEmbedderClient(embedder), VectorsClient(vectors), cache)

    async def add(
        self,
        *,
        source: str,
        content: bytes,
        collection: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> Document:
        """Store one document: parse, cut, embed, write."""
        return await self._library.add(
            source=source, content=content, collection=collection, tags=tags, metadata=metadata
        )

    async def add_many(
        self,
        files: Sequence[NewDocument],
        collection: str | None = None,
        *,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> tuple[Added, ...]:
        """Store several documents in one pass; of each its document, or why there is none."""
        return await self._library.add_many(files, collection, tags=tags, metadata=metadata)

    async def documents(self, collection: str | None = None) -> tuple[Document, ...]:
        """All stored documents, newest first."""
        return await self._library.documents(collection)

    async def document(self, document_id: str, collection: str | None = None) -> Document:
        """One document."""
        return await self._library.document(document_id, collection)

    async def chunks(
        self, document_id: str, collection: str | None = None, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        """A document's chunks in order."""
        return await self._library.chunks(document_id, collection, first=first, limit=limit)

    async def annotate(
        self,
        document_id: str,
        collection: str | None = None,
        *,
        tags: tuple[str, ...] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata."""
        return await self._library.annotate(document_id, collection, tags=tags, metadata=metadata)

    async def remove(self, document_id: str, collection: str | None = None) -> Document:
        """Forget one document."""
        return await self._library.remove(document_id, collection)

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """The best passages, best first."""
        return await self._library.search(call)

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return await self._library.collections()

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection."""
        await self._library.remove_collection(collection)

    async def reindex(self, collection: str | None = None) -> int:
        """Write a collection's index anew from its vector files."""
        return await self._library.reindex(collection)

    async def health(self) -> Health:
        """How the vector store is."""
        return await self._library.health()

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""
