"""The retriever as a Serve deployment: a shell over a library."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cluster.settings.tree import Settings
from cluster.types import Answer, Document, Health, Passage
from deployments.clients import ChatModelClient, ChunkingEmbedderClient
from deployments.retrieval.library import Library
from deployments.retrieval.vectors_client import VectorsClient

if TYPE_CHECKING:
    from ray.serve.handle import DeploymentHandle


class Retriever:
    """See deployments.clients.Retriever for what each method promises. models: handles by model id."""

    def __init__(
        self,
        settings: Settings,
        embedder: "DeploymentHandle[Any]",
        vectors: "DeploymentHandle[Any]",
        models: "Mapping[str, DeploymentHandle[Any]]",
    ) -> None:
        self._library = Library(
            settings.documents,
            ChunkingEmbedderClient(embedder),
            VectorsClient(vectors),
            {name: ChatModelClient(handle) for name, handle in models.items()},
        )

    async def add(self, *, source: str, content: bytes) -> Document:
        """Store one document: parse, cut, embed, write."""
        return await self._library.add(source=source, content=content)

    async def documents(self) -> tuple[Document, ...]:
        """All stored documents, newest first."""
        return await self._library.documents()

    async def remove(self, document_id: str) -> Document:
        """Forget one document."""
        return await self._library.remove(document_id)

    async def search(self, query: str, *, limit: int) -> tuple[Passage, ...]:
        """The best passages, best first."""
        return await self._library.search(query, limit=limit)

    async def answer(self, query: str, *, limit: int, model: str | None, request_id: str) -> Answer:
        """Retrieve, then answer from the passages."""
        return await self._library.answer(query, limit=limit, model=model, request_id=request_id)

    async def health(self) -> Health:
        """How the vector store is."""
        return await self._library.health()

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""
