"""Documents in, passages out: what the retriever thinks, without Serve."""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from cluster.documents import (
    Added,
    Chunk,
    CollectionCard,
    Document,
    EmbedderIdentity,
    MetadataValue,
    NewDocument,
    Passage,
    SearchCall,
    SearchMode,
)
from cluster.errors import BadRequest, HeliostatError
from cluster.settings.pipelines import DocumentSettings
from cluster.stores.embedding_cache import EmbeddingCache
from cluster.types import EmbeddingCall, Health
from deployments.clients import NO_METADATA
from deployments.retrieval.deposits import Chunks, Cutting, Deposits, Said

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Vectors(Chunks, Protocol):
    """The vector store's owner; see cluster.stores.vectors.VectorStore."""

    async def documents(self, collection: str) -> tuple[Document, ...]: ...  # noqa: D102

    async def document(self, collection: str, document_id: str) -> Document: ...  # noqa: D102

    async def chunks(  # noqa: D102
        self, collection: str, document_id: str, *, first: int, limit: int
    ) -> tuple[Chunk, ...]: ...

    async def annotate(  # noqa: D102
        self,
        collection: str,
        document_id: str,
        *,
        tags: Sequence[str] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document: ...

    async def delete(self, collection: str, document_id: str) -> Document: ...  # noqa: D102

    async def search(  # noqa: D102
        self,
        collection: str,
        call: SearchCall,
        vector: "NDArray[np.float32] | None",
        *,
        identity: EmbedderIdentity,
    ) -> tuple[Passage, ...]: ...

    async def collections(self) -> tuple[CollectionCard, ...]: ...  # noqa: D102

    async def remove_collection(self, collection: str) -> None: ...  # noqa: D102

    async def reindex(self, collection: str) -> int: ...  # noqa: D102

    async def health(self) -> Health: ...  # noqa: D102


class Library:
    """All that the retriever does; see deployments.clients.Retriever for what each method promises.

    cache: of vectors of texts that were embedded before, in whatever collection. clock: Unix seconds.
    """

    def __init__(
        self,
        settings: DocumentSettings,
        embedder: Cutting,
        vectors: Vectors,
        cache: EmbeddingCache,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._vectors = vectors
        self._deposits = Deposits(settings, embedder, vectors, cache, clock)

    async def add(
        self,
        *,
        source: str,
        content: bytes,
        collection: str | None = None,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> Document:
        """Store one document. The same bytes again are only given the new name, tags and metadata.

        Raises what pipelines.documents.reader.read raises, and EmbedderMismatch.
        """
        file = NewDocument(source=source, content=content)
        (added,) = await self.add_many((file,), collection, tags=tags, metadata=metadata)
        if isinstance(added, HeliostatError):
            raise added
        return added

    async def add_many(
        self,
        files: Sequence[NewDocument],
        collection: str | None = None,
        *,
        tags: tuple[str, ...] = (),
        metadata: Mapping[str, MetadataValue] = NO_METADATA,
    ) -> tuple[Added, ...]:
        """Store several documents in one pass; of each what `add` returns or raises. Raises Unavailable."""
        said = Said(collection=self._named(collection), tags=tags, metadata=metadata)
        return await self._deposits.take(files, said)

    async def documents(self, collection: str | None = None) -> tuple[Document, ...]:
        """All documents, newest first."""
        return await self._vectors.documents(self._named(collection))

    async def document(self, document_id: str, collection: str | None = None) -> Document:
        """One document. Raises DocumentNotFound."""
        return await self._vectors.document(self._named(collection), document_id)

    async def chunks(
        self, document_id: str, collection: str | None = None, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        """A document's chunks in order. Raises DocumentNotFound."""
        return await self._vectors.chunks(self._named(collection), document_id, first=first, limit=limit)

    async def annotate(
        self,
        document_id: str,
        collection: str | None = None,
        *,
        tags: tuple[str, ...] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata. Raises DocumentNotFound."""
        return await self._vectors.annotate(self._named(collection), document_id, tags=tags, metadata=metadata)

    async def remove(self, document_id: str, collection: str | None = None) -> Document:
        """Forget one document. Raises DocumentNotFound."""
        return await self._vectors.delete(self._named(collection), document_id)

    async def search(self, call: SearchCall) -> tuple[Passage, ...]:
        """The best passages, best first. Raises BadRequest, EmbedderMismatch."""
        if not call.query.strip():
            raise BadRequest("The query is empty", hint="ask something", param="query")
        if call.mode is SearchMode.BM25:
            identity = EmbedderIdentity.of(await self._embedder.card())
            return await self._vectors.search(call.collection, call, None, identity=identity)
        wanted = EmbeddingCall(inputs=(call.query,), request_id=uuid.uuid4().hex)
        try:
            card, embedded = await asyncio.gather(self._embedder.card(), self._embedder.embed(wanted))
        except BadRequest as error:  # nothing but characters that the embedder does not see
            raise BadRequest("The query has no word in it", hint="ask something", param="query") from error
        vector, identity = embedded.vectors[0], EmbedderIdentity.of(card)
        return await self._vectors.search(call.collection, call, vector, identity=identity)

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return await self._vectors.collections()

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection. Raises CollectionNotFound."""
        await self._vectors.remove_collection(collection)

    async def reindex(self, collection: str | None = None) -> int:
        """Write a collection's index anew from its vector files. Raises CollectionNotFound."""
        return await self._vectors.reindex(self._named(collection))

    async def health(self) -> Health:
        """How the vector store is."""
        return await self._vectors.health()

    def _named(self, collection: str | None) -> str:
        return self._settings.collection if collection is None else collection
