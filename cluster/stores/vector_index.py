"""What a back end for vectors promises: chunks with their vectors, and the ledger's records, by collection.

`vectors_chroma` and `vectors_memory` are two; `vectors.VectorStore` is made of either.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from cluster.documents import Chunk, EmbedderIdentity
from cluster.errors import BadRequest
from cluster.stores.ledger import Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 500  # chunks a write: 200 to 1,000 measured best, and Chroma refuses more than 5,461
# A name of a collection, as long as Chroma takes it with `.ledger` behind it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,503}[A-Za-z0-9]")
LEDGER = ".ledger"  # ends the name of the collection beside a collection, where its records are


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredChunk:
    """A chunk as it is stored. chunker: the fingerprint of what cut it."""

    chunk: Chunk
    chunker: str


class Page(NamedTuple):
    """Some stored chunks. vectors: theirs, shape (n, dimensions), where they were asked for."""

    rows: list[StoredChunk]
    vectors: "NDArray[np.float32] | None" = None


class Index(Protocol):
    """One collection of a back end. Not thread-safe. Raises Unavailable where the back end fails."""

    @property
    def identity(self) -> EmbedderIdentity:
        """The embedder that it was made for."""
        ...

    def missing(self, ids: Sequence[str]) -> list[str]:
        """Those of the chunk ids that are not stored, in the order given."""
        ...

    def upsert(self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str) -> None:
        """Write chunks and their unit vectors, shape (n, dimensions), by id."""
        ...

    def get(self, ids: Sequence[str]) -> dict[str, StoredChunk]:
        """The stored ones of these chunks, by id."""
        ...

    def vectors(self, ids: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """The vectors of the stored ones of these chunks, by id."""
        ...

    def of_documents(self, document_ids: Sequence[str]) -> list[StoredChunk]:
        """All stored chunks of documents, in no order."""
        ...

    def pages(self, *, vectors: bool = False) -> Iterator[Page]:
        """All stored chunks, some hundreds at a time, in no order."""
        ...

    def drop_document(self, document_id: str, *, keep: str | None = None) -> None:
        """Delete a document's chunks; keep: those of this chunker stay."""
        ...

    def nearest(
        self, vector: "NDArray[np.float32]", *, limit: int, among: Sequence[str] | None = None
    ) -> list[tuple[str, float]]:
        """The nearest chunks' ids and cosines, -1 to 1, nearest first. among: of these documents alone."""
        ...

    def count(self) -> int:
        """How many chunks are stored, those of documents not yet published included."""
        ...

    def records(self) -> Iterator[Record]:
        """The ledger's records, in no order."""
        ...

    def save(self, records: Sequence[Record]) -> None:
        """Write records of the ledger by their documents' ids, all or none."""
        ...

    def forget(self, document_ids: Sequence[str]) -> None:
        """Delete records of the ledger."""
        ...


class Indexes(Protocol):
    """A back end's collections by name."""

    def names(self) -> list[str]:
        """Of all collections that there are, sorted."""
        ...

    def open(self, name: str) -> Index | None:
        """A collection; None where there is none. Raises StartFailed for one that is not of our making."""
        ...

    def create(self, name: str, identity: EmbedderIdentity) -> Index:
        """A new collection for vectors of this embedder."""
        ...

    def drop(self, name: str) -> None:
        """Delete a collection, whatever state it is in; one that is not there is no error."""
        ...

    def close(self) -> None:
        """Let go of files and connections; calling it twice is harmless."""
        ...


def check_name(name: str) -> None:
    """Refuse what can't name a collection. Raises BadRequest."""
    if not NAME.fullmatch(name) or name.endswith(LEDGER):
        raise BadRequest(
            f"No collection can have the name {name[:80]!r}",
            hint="letters, digits and inside also . _ -, 3 to 505 characters, without .ledger behind it",
            param="collection",
        )
