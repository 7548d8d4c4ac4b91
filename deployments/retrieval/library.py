"""Documents in, passages out: what the retriever thinks, without Serve."""

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol
from weakref import WeakValueDictionary

from cluster.errors import BadRequest, EmptyDocument, PayloadTooLarge
from cluster.settings.pipelines import DocumentSettings
from cluster.stores.embedding_cache import EmbeddingCache
from cluster.types import (
    Chunk,
    CollectionCard,
    Document,
    EmbedderIdentity,
    EmbeddingCall,
    Embeddings,
    Health,
    MetadataValue,
    ModelCard,
    Passage,
    SearchCall,
    SearchMode,
)
from deployments.clients import NO_METADATA
from pipelines.documents.chunker import fingerprint
from pipelines.documents.parsed import ParsedDocument
from pipelines.documents.reader import read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EMBED_AT_ONCE = 128  # chunks of one call: far below the 4 MiB that a message between replicas may have
MAX_TEXT_BYTES = 3 * 1024**2  # of one inline document, for the same reason
PARSERS = 2  # documents parsed at once, each in its own process


class CuttingEmbedder(Protocol):
    """The embedding model, which also cuts documents into chunks."""

    async def card(self) -> ModelCard: ...  # noqa: D102 - as in deployments.clients.Embedder

    async def embed(self, call: EmbeddingCall) -> Embeddings: ...  # noqa: D102

    async def cut(self, parsed: ParsedDocument, *, document_id: str, source: str) -> tuple[Chunk, ...]:
        """The document's chunks, in order."""
        ...


class Vectors(Protocol):
    """The vector store's owner; see cluster.stores.vectors.VectorStore."""

    async def held(self, collection: str, document_id: str, *, chunker: str) -> Document | None: ...  # noqa: D102

    async def missing(self, collection: str, ids: Sequence[str]) -> list[str]: ...  # noqa: D102

    async def upsert(  # noqa: D102
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None: ...

    async def publish(self, collection: str, document: Document, *, chunker: str) -> Document: ...  # noqa: D102

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
        embedder: CuttingEmbedder,
        vectors: Vectors,
        cache: EmbeddingCache,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._vectors = vectors
        self._cache = cache
        self._clock = clock
        self._parsing = asyncio.Semaphore(PARSERS)
        # The same bytes sent twice at once are read once: the second sender waits, and finds them stored.
        self._adding: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

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
        name, document_id = self._named(collection), hashlib.sha256(content).hexdigest()
        lock = self._adding.setdefault((name, document_id), asyncio.Lock())
        async with lock:
            card = await self._embedder.card()
            chunker = fingerprint(self._settings, card.id)
            document = await self._vectors.held(name, document_id, chunker=chunker)
            if document is None:
                document = await self._read(name, source, content, document_id, _identity(card), chunker)
            given = Document(
                id=document_id,
                source=source,
                media_type=document.media_type,
                chunks=document.chunks,
                pages=document.pages,
                characters=document.characters,
                created=document.created,
                tags=tags,
                metadata=dict(metadata),
            )
            return await self._vectors.publish(name, given, chunker=chunker)

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
            identity = _identity(await self._embedder.card())
            return await self._vectors.search(call.collection, call, None, identity=identity)
        wanted = EmbeddingCall(inputs=(call.query,), request_id=uuid.uuid4().hex)
        try:
            card, embedded = await asyncio.gather(self._embedder.card(), self._embedder.embed(wanted))
        except BadRequest as error:  # nothing but characters that the embedder does not see
            raise BadRequest("The query has no word in it", hint="ask something", param="query") from error
        return await self._vectors.search(call.collection, call, embedded.vectors[0], identity=_identity(card))

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

    async def _read(
        self,
        collection: str,
        source: str,
        content: bytes,
        document_id: str,
        identity: EmbedderIdentity,
        chunker: str,
    ) -> Document:
        """Parse, cut, embed and write a document; it is not published then."""
        async with self._parsing:
            parsed = await asyncio.to_thread(read, source, content, self._settings)
        if len(parsed.text.encode()) > MAX_TEXT_BYTES:
            raise PayloadTooLarge(
                f"{source}: its text is larger than {MAX_TEXT_BYTES} bytes", hint="read it with heliostat ingest"
            )
        chunks = await self._embedder.cut(parsed, document_id=document_id, source=source)
        if not chunks:
            raise EmptyDocument(f"{source}: the embedder sees no text in it", hint="send a file with words in it")
        missing = set(await self._vectors.missing(collection, [chunk.id for chunk in chunks]))
        wanted = [chunk for chunk in chunks if chunk.id in missing]
        for first in range(0, len(wanted), EMBED_AT_ONCE):
            part = wanted[first : first + EMBED_AT_ONCE]
            vectors = await self._embedded([chunk.text for chunk in part], identity)
            await self._vectors.upsert(collection, part, vectors, chunker=chunker, identity=identity)
        return Document(
            id=document_id,
            source=source,
            media_type=parsed.media_type,
            chunks=len(chunks),
            pages=parsed.pages,
            characters=len(parsed.text),
            created=int(self._clock()),
        )

    async def _embedded(self, texts: Sequence[str], identity: EmbedderIdentity) -> "NDArray[np.float32]":
        """Vectors of the texts; those that were embedded before are not embedded again."""
        import numpy as np

        known = await asyncio.to_thread(self._cache.get, texts, identity)
        new = [place for place in range(len(texts)) if place not in known]
        vectors = np.zeros((len(texts), identity.dimensions), np.float32)
        for place, vector in known.items():
            vectors[place] = vector
        if new:
            inputs = tuple(texts[place] for place in new)
            embedded = await self._embedder.embed(EmbeddingCall(inputs=inputs, request_id=uuid.uuid4().hex))
            vectors[new] = embedded.vectors
            await asyncio.to_thread(self._cache.put, inputs, embedded.vectors, identity)
        return vectors


def _identity(card: ModelCard) -> EmbedderIdentity:
    return EmbedderIdentity(model=card.id, revision=card.revision, dimensions=card.capabilities.dimensions)
