"""The one owner of the vector store: every read and write goes through its single thread."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, MetadataValue, Passage, SearchCall
from cluster.errors import Unavailable
from cluster.settings.tree import Settings
from cluster.stores.factory import open_vectors
from cluster.types import Health

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Result = TypeVar("Result")


class VectorStore:
    """Exactly one replica of this runs. See cluster.stores.vectors.VectorStore for what each method promises.

    It has no `__del__`: the folder's lock goes with the process, and work handed to a thread from a garbage
    collection inside `submit` waits for a lock that its own thread holds (it hung a test run).
    """

    def __init__(self, settings: Settings) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="vectors")
        opening = self._thread.submit(open_vectors, settings.stores, settings.home_path)
        self._store = opening.result()
        # A collection that cannot be used is said at the start; reading it in goes on behind it.
        self._thread.submit(self._store.documents, settings.documents.collection).result()
        self._thread.submit(self._store.load, settings.documents.collection)

    async def held_many(
        self, collection: str, document_ids: Sequence[str], *, chunker: str
    ) -> tuple[Document | None, ...]:
        """The published documents, where they were cut by this chunker."""
        return await self._run(lambda: self._store.held_many(collection, document_ids, chunker=chunker))

    async def missing(self, collection: str, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return await self._run(lambda: self._store.missing(collection, ids))

    async def upsert(
        self,
        collection: str,
        chunks: Sequence[Chunk],
        vectors: "NDArray[np.float32]",
        *,
        chunker: str,
        identity: EmbedderIdentity,
    ) -> None:
        """Write chunks and their vectors. Raises EmbedderMismatch, BadRequest."""
        await self._run(lambda: self._store.upsert(collection, chunks, vectors, chunker=chunker, identity=identity))

    async def publish_many(
        self, collection: str, documents: Sequence[Document], *, chunker: str
    ) -> tuple[Document, ...]:
        """Make documents visible under their sources. Raises Conflict."""
        return await self._run(lambda: self._store.publish_many(collection, documents, chunker=chunker))

    async def unpublish_sources(self, collection: str, sources: Sequence[str]) -> tuple[Document, ...]:
        """Take names away; returns the documents that left with them."""
        return await self._run(lambda: self._store.unpublish_sources(collection, sources))

    async def documents(self, collection: str) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return await self._run(lambda: self._store.documents(collection))

    async def document(self, collection: str, document_id: str) -> Document:
        """One published document. Raises DocumentNotFound."""
        return await self._run(lambda: self._store.document(collection, document_id))

    async def chunks(
        self, collection: str, document_id: str, *, first: int = 0, limit: int = 100
    ) -> tuple[Chunk, ...]:
        """A document's chunks in order. Raises DocumentNotFound."""
        return await self._run(lambda: self._store.chunks(collection, document_id, first=first, limit=limit))

    async def annotate(
        self,
        collection: str,
        document_id: str,
        *,
        tags: Sequence[str] | None,
        metadata: Mapping[str, MetadataValue] | None,
    ) -> Document:
        """Set a document's tags and metadata. Raises DocumentNotFound."""
        return await self._run(lambda: self._store.annotate(collection, document_id, tags=tags, metadata=metadata))

    async def delete(self, collection: str, document_id: str) -> Document:
        """Forget a document and its chunks. Raises DocumentNotFound."""
        return await self._run(lambda: self._store.delete(collection, document_id))

    async def search(
        self,
        collection: str,
        call: SearchCall,
        vector: "NDArray[np.float32] | None",
        *,
        identity: EmbedderIdentity,
    ) -> tuple[Passage, ...]:
        """The best published chunks, best first. Raises EmbedderMismatch, BadRequest."""
        return await self._run(lambda: self._store.search(collection, call, vector, identity=identity))

    async def collections(self) -> tuple[CollectionCard, ...]:
        """All collections, by name."""
        return await self._run(self._store.collections)

    async def remove_collection(self, collection: str) -> None:
        """Forget a collection. Raises CollectionNotFound."""
        await self._run(lambda: self._store.remove_collection(collection))

    async def reindex(self, collection: str) -> int:
        """Make a collection's index anew from its vector files. Raises CollectionNotFound."""
        return await self._run(lambda: self._store.reindex(collection))

    async def reclaim(self, collection: str, *, before: float, spared: Sequence[str]) -> int:
        """Delete what killed runs stored before that time and nobody published. Returns of how many documents."""
        return await self._run(lambda: self._store.reclaim(collection, before=before, spared=spared))

    async def health(self) -> Health:
        """How the store is; figures: `collections`, `documents` and `chunks`."""
        try:
            cards = await self._run(self._store.collections)
        except Unavailable as error:
            return Health(status="failed", detail=error.message)
        figures = {
            "collections": float(len(cards)),
            "documents": float(sum(card.documents for card in cards)),
            "chunks": float(sum(card.chunks for card in cards)),
        }
        return Health(status="running", figures=figures)

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
