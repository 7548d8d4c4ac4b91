"""The vector store's owner as the retriever sees it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from cluster.types import Chunk, Document, EmbedderIdentity, Health, Passage
from deployments.clients import reply

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from ray.serve.handle import DeploymentHandle


class VectorsClient:
    """The vector store's owner behind a Serve handle; see cluster.stores.vectors.VectorStore."""

    def __init__(self, handle: "DeploymentHandle[Any]") -> None:
        self._handle = handle

    async def held(self, document_id: str, *, chunker: str) -> Document | None:
        """The published document, where it was cut by this chunker."""
        return cast("Document | None", await reply(self._handle.held.remote(document_id, chunker=chunker)))

    async def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return cast("list[str]", await reply(self._handle.missing.remote(list(ids))))

    async def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their vectors."""
        await reply(self._handle.upsert.remote(tuple(chunks), vectors, chunker=chunker, identity=identity))

    async def publish(self, document: Document, *, chunker: str) -> None:
        """Make a document visible under its source."""
        await reply(self._handle.publish.remote(document, chunker=chunker))

    async def query(
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """The nearest published chunks, best first."""
        call = self._handle.query.remote(vector, limit=limit, identity=identity)
        return cast("tuple[Passage, ...]", await reply(call))

    async def documents(self) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return cast("tuple[Document, ...]", await reply(self._handle.documents.remote()))

    async def delete(self, document_id: str) -> Document:
        """Forget a document and its chunks."""
        return cast(Document, await reply(self._handle.delete.remote(document_id)))

    async def health(self) -> Health:
        """How the store is, and how much it holds."""
        return cast(Health, await reply(self._handle.health.remote()))
