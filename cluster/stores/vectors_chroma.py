"""The vector store on Chroma, embedded or behind a URL: one owner, cosine, our own embeddings.

Two processes on one embedded folder see stale indexes (measured: 0 of 100 vectors found), so the folder is
locked. A second collection, `<collection>.ledger`, holds a record a published document; it is kept in
memory too, which is right because there is one owner.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import numpy as np

from cluster.errors import BadRequest, StartFailed, Unavailable
from cluster.stores.file_lock import lock_within
from cluster.stores.ledger import Ledger, Record
from cluster.stores.vectors import BATCH, check_identity
from cluster.types import Chunk, Document, EmbedderIdentity, Passage

if TYPE_CHECKING:
    from numpy.typing import NDArray

OWNER_WAIT_S = 20.0  # a replica that is being replaced lets go of the folder within its drain of 5 s
PAGE = 1000  # records read at once
CHUNK_FIELDS = ("document_id", "source", "ordinal", "start", "end", "tokens", "page", "heading")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A Chroma client, and the descriptor of the lock on its folder (None behind a URL)."""

    client: Any
    lock: int | None = None


class ChromaVectors:
    """See VectorStore for what each method promises."""

    def __init__(self, connection: Connection, *, collection: str) -> None:
        self._connection = connection
        self._client = connection.client
        self._name = collection
        self._chunks: Any = None
        self._records: Any = None
        self._identity: EmbedderIdentity | None = None
        self._ledger = Ledger()
        self._closed = False
        with _translated():
            self._open()

    def held(self, document_id: str, *, chunker: str) -> Document | None:
        """See VectorStore."""
        return self._ledger.held(document_id, chunker)

    def missing(self, ids: Sequence[str]) -> list[str]:
        """See VectorStore."""
        if self._chunks is None:
            return list(ids)
        stored: set[str] = set()
        with _translated():
            for first in range(0, len(ids), BATCH):
                stored.update(self._chunks.get(ids=list(ids[first : first + BATCH]), include=[])["ids"])
        return [chunk_id for chunk_id in ids if chunk_id not in stored]

    def upsert(
        self, chunks: Sequence[Chunk], vectors: "NDArray[np.float32]", *, chunker: str, identity: EmbedderIdentity
    ) -> None:
        """See VectorStore."""
        with _translated():
            self._ready(identity)
            for first in range(0, len(chunks), BATCH):
                part = chunks[first : first + BATCH]
                self._chunks.upsert(
                    ids=[chunk.id for chunk in part],
                    embeddings=vectors[first : first + BATCH],
                    documents=[chunk.text for chunk in part],
                    metadatas=[_metadata(chunk, chunker) for chunk in part],
                )

    def publish(self, document: Document, *, chunker: str) -> None:
        """See VectorStore."""
        if self._chunks is None:
            raise BadRequest(f"Document {document.id!r} has no stored chunks", hint="upsert its chunks first")
        change = self._ledger.publish(document, chunker)
        with _translated():
            if change.saved:
                self._save(change.saved)
            if change.removed:
                self._records.delete(ids=list(change.removed))
            self._ledger.apply(change)
            for document_id in change.removed:
                self._drop_chunks({"document_id": document_id})
            if change.recut:
                self._drop_chunks({"$and": [{"document_id": document.id}, {"chunker": {"$ne": chunker}}]})

    def query(
        self, vector: "NDArray[np.float32]", *, limit: int, identity: EmbedderIdentity
    ) -> tuple[Passage, ...]:
        """See VectorStore."""
        if self._chunks is None or self._identity is None:
            return ()
        check_identity(self._identity, identity, self._name)
        wanted = limit
        while True:
            with _translated():
                answer = self._chunks.query(
                    query_embeddings=[vector], n_results=wanted, include=["documents", "metadatas", "distances"]
                )
            found = self._visible(answer)
            # Chunks of documents on their way in or out are skipped; then look further down the list.
            if len(found) >= limit or len(answer["ids"][0]) < wanted:
                return tuple(found[:limit])
            wanted *= 2

    def documents(self) -> tuple[Document, ...]:
        """See VectorStore."""
        return self._ledger.documents()

    def delete(self, document_id: str) -> Document:
        """See VectorStore."""
        document = self._ledger.find(document_id).document
        with _translated():
            self._records.delete(ids=[document_id])
            self._ledger.remove(document_id)
            self._drop_chunks({"document_id": document_id})
        return document

    def count(self) -> int:
        """See VectorStore."""
        if self._chunks is None:
            return 0
        with _translated():
            return int(self._chunks.count())

    def identity(self) -> EmbedderIdentity | None:
        """See VectorStore."""
        return self._identity if self.count() else None

    def close(self) -> None:
        """See VectorStore."""
        if self._closed:
            return
        self._closed = True
        self._client.close()
        if self._connection.lock is not None:
            os.close(self._connection.lock)

    def _open(self) -> None:
        names = {collection.name for collection in self._client.list_collections()}
        if self._name not in names:
            return
        self._chunks = self._client.get_collection(self._name, embedding_function=None)
        self._records = self._collection(f"{self._name}.ledger", {})
        metadata = self._chunks.metadata or {}
        try:
            self._identity = EmbedderIdentity(
                model=metadata["model"], revision=metadata["revision"], dimensions=int(metadata["dimensions"])
            )
        except KeyError as error:
            raise StartFailed(
                f"The collection {self._name!r} was not made by Heliostat: it has no {error.args[0]!r}",
                hint="name another one in documents.collection",
            ) from None
        self._ledger = Ledger(self._load())

    def _ready(self, identity: EmbedderIdentity) -> None:
        """Make the collection, or check whose it is; an empty one is made anew for another embedder."""
        if self._chunks is not None and self._identity != identity and self._ledger.empty():
            self._client.delete_collection(self._name)
            self._chunks = None
        if self._chunks is None:
            self._chunks = self._collection(self._name, asdict(identity))
            self._records = self._collection(f"{self._name}.ledger", {})
            self._identity = identity
        assert self._identity is not None
        check_identity(self._identity, identity, self._name)

    def _collection(self, name: str, metadata: dict[str, Any]) -> Any:
        return self._client.get_or_create_collection(
            name,
            metadata=metadata or None,
            configuration={"hnsw": {"space": "cosine"}},  # it can't be changed later; the default is l2
            embedding_function=None,
        )

    def _load(self) -> Iterator[Record]:
        first = 0
        while True:
            page = self._records.get(limit=PAGE, offset=first, include=["documents"])
            for text in page["documents"]:
                fields = json.loads(text)
                yield Record(
                    document=Document(**fields["document"]),
                    sources=tuple(fields["sources"]),
                    chunker=fields["chunker"],
                )
            if len(page["ids"]) < PAGE:
                return
            first += PAGE

    def _save(self, records: Sequence[Record]) -> None:
        self._records.upsert(
            ids=[record.document.id for record in records],
            embeddings=[[1.0]] * len(records),  # a record is found by its id: the vector is never used
            documents=[json.dumps(asdict(record)) for record in records],
        )

    def _drop_chunks(self, where: dict[str, Any]) -> None:
        while ids := self._chunks.get(where=where, limit=BATCH, include=[])["ids"]:
            self._chunks.delete(ids=ids)

    def _visible(self, answer: Any) -> list[Passage]:
        found = []
        rows = zip(
            answer["ids"][0], answer["documents"][0], answer["metadatas"][0], answer["distances"][0], strict=True
        )
        for chunk_id, text, metadata, distance in rows:
            document = self._ledger.held(metadata["document_id"], metadata["chunker"])
            if document is not None:
                fields = {name: metadata.get(name) for name in CHUNK_FIELDS}
                chunk = replace(Chunk(id=chunk_id, text=text, **cast(Any, fields)), source=document.source)
                found.append(Passage(chunk=chunk, score=float(np.clip(1 - distance, -1, 1))))
        return found


def open_embedded(folder: Path, *, wait_s: float = OWNER_WAIT_S) -> Connection:
    """Chroma in this process, over a folder. Raises StartFailed where another process owns the folder."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / "owner.lock", os.O_RDWR | os.O_CREAT, 0o600)
    if not lock_within(lock, wait_s):
        os.close(lock)
        hint = "stop the other cluster, or give this one its own home"
        raise StartFailed(f"The vectors in {folder} are owned by another process", hint=hint)
    try:
        with _translated():
            client = chromadb.PersistentClient(str(folder), settings=ChromaSettings(anonymized_telemetry=False))
    except Unavailable as error:
        os.close(lock)
        raise StartFailed(f"The vectors in {folder} cannot be opened: {error.message}") from error
    return Connection(client=client, lock=lock)


def connect_server(url: str) -> Connection:
    """A Chroma server by its URL. Raises StartFailed where nobody answers there."""
    import chromadb
    from chromadb.config import Settings as ChromaSettings

    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StartFailed(f"stores.vectors.url: {url!r} is no server's address", hint="http://host:port")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        client = chromadb.HttpClient(
            parts.hostname,
            port,
            ssl=parts.scheme == "https",
            settings=ChromaSettings(anonymized_telemetry=False),
        )
    except Exception as error:  # the client raises ValueError, httpx's and its own errors alike
        hint = "start it with `chroma run`, on loopback or a private network only"
        raise StartFailed(f"No Chroma server answers at {url}: {error}", hint=hint) from error
    return Connection(client=client)


@contextmanager
def _translated() -> Iterator[None]:
    import httpx
    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, httpx.HTTPError, OSError) as error:
        hint = "look at the store's log; for a full disk, free some space"
        raise Unavailable(f"The vector store failed: {error}", hint=hint, retry_after_s=5) from error


def _metadata(chunk: Chunk, chunker: str) -> dict[str, str | int]:
    fields: dict[str, str | int | None] = {name: getattr(chunk, name) for name in CHUNK_FIELDS}
    return {"chunker": chunker} | {name: value for name, value in fields.items() if value is not None}
