"""The one owner of the vector store: every read and write goes through its single thread."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from cluster.errors import Unavailable
from cluster.settings.tree import Settings
from cluster.stores.factory import open_vectors
from cluster.types import Chunk, Document, EmbedderIdentity, Health, Passage

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
        opening = self._thread.submit(open_vectors, settings.stores, settings.documents, settings.home_path)
        self._store = opening.result()

    async def held(self, document_id: str, *, chunker: str) -> Document | None:
        """The published document, where it was cut by this chunker."""
        return await self._run(lambda: self._store.held(document_id, chunker=chunker))

    async def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored."""
        return await self._run(lambda: self._store.missing(ids))

    async def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their vectors. Raises EmbedderMismatch."""
        await self._run(lambda: self._store.upsert(chunks, vectors, chunker=chunker, identity=identity))

    async def publish(self, document: Document, *, chunker: str) -> None:
        """Make a document visible under its source."""
        await self._run(lambda: self._store.publish(document, chunker=chunker))

    async def query(
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """The nearest published chunks. Raises EmbedderMismatch."""
        return await self._run(lambda: self._store.query(vector, limit=limit, identity=identity))

    async def documents(self) -> tuple[Document, ...]:
        """All published documents, newest first."""
        return await self._run(self._store.documents)

    async def delete(self, document_id: str) -> Document:
        """Forget a document and its chunks. Raises DocumentNotFound."""
        return await self._run(lambda: self._store.delete(document_id))

    async def health(self) -> Health:
        """How the store is; figures: `documents` and `chunks`."""
        try:
            figures = await self._run(self._figures)
        except Unavailable as error:
            return Health(status="failed", detail=error.message)
        return Health(status="running", figures=figures)

    async def check_health(self) -> None:
        """Called by Serve every second: answering at all shows that the loop is free."""

    def _figures(self) -> dict[str, float]:
        return {"documents": float(len(self._store.documents())), "chunks": float(self._store.count())}

    async def _run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
