"""What a vector store promises; `factory` opens the one that the settings name.

A document becomes visible in one step: its chunks are upserted first, and no search finds them until
`publish` enters the document in the ledger. The version that it replaces leaves in the same step.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from cluster.errors import EmbedderMismatch
from cluster.types import Chunk, Document, EmbedderIdentity, Passage

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 500  # chunks a write: 200 to 1,000 measured best, and Chroma refuses more than 5,461


class VectorStore(Protocol):
    """Chunks with their vectors, by cosine. Not thread-safe: one owner calls it from one thread.

    chunker, in all methods: the fingerprint of the chunker that made the chunks.
    """

    def held(self, document_id: str, *, chunker: str) -> Document | None:
        """The published document, where it was cut by this chunker."""
        ...

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored, in the order given."""
        ...

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """Write chunks and their unit vectors, shape (n, dimensions), by id: again changes nothing.

        Raises EmbedderMismatch where another embedder filled the collection.
        """
        ...

    def publish(self, document: Document, *, chunker: str) -> None:
        """Make a document visible under its source; an older version of that source leaves."""
        ...

    def query(
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """The nearest published chunks, best first. Raises EmbedderMismatch."""
        ...

    def documents(self) -> tuple[Document, ...]:
        """All published documents, newest first."""
        ...

    def delete(self, document_id: str) -> Document:
        """Forget a document and its chunks. Raises DocumentNotFound."""
        ...

    def count(self) -> int:
        """How many chunks are stored, those of documents not yet published included."""
        ...

    def identity(self) -> EmbedderIdentity | None:
        """The embedder that filled the collection; None while it is empty."""
        ...

    def close(self) -> None:
        """Let go of files and connections; calling it twice is harmless."""
        ...


def check_identity(stored: EmbedderIdentity, asked: EmbedderIdentity, collection: str) -> None:
    """Refuse another embedder than the one that filled the collection. Raises EmbedderMismatch."""
    if stored == asked:
        return
    raise EmbedderMismatch(
        f"Collection {collection!r} was filled by {_name(stored)}, but the embedder now is {_name(asked)}",
        hint="go back to that embedder, name another documents.collection, or delete the documents first",
    )


def _name(identity: EmbedderIdentity) -> str:
    return f"{identity.model} (revision {identity.revision}, {identity.dimensions} dimensions)"
