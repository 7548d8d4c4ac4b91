"""Documents for a vector store, and questions to it."""

from typing import Any

import numpy as np

from cluster.documents import Chunk, Document, EmbedderIdentity, Passage, SearchCall, SearchMode
from cluster.stores.vectors import VectorStore

IDENTITY = EmbedderIdentity(model="embed", revision="r1", dimensions=4)
CUT = "cut-1"
DOCS = "docs"


def document(name: str, *, source: str = "a.txt", created: int = 1, chunks: int = 2, **more: Any) -> Document:
    return Document(
        id=name, source=source, media_type="text/plain", chunks=chunks, characters=9, created=created, **more
    )


def chunks(
    name: str, *, count: int = 2, source: str = "a.txt", cut: str = CUT, texts: tuple[str, ...] = ()
) -> list[Chunk]:
    return [
        Chunk(
            id=f"{name}-{cut}-{ordinal}",
            document_id=name,
            source=source,
            ordinal=ordinal,
            start=ordinal * 4,
            end=ordinal * 4 + 3,
            text=texts[ordinal] if texts else f"{name} part{ordinal}",
            tokens=2,
            page=ordinal + 1 if ordinal else None,
            heading="Top > Sub" if ordinal else None,
        )
        for ordinal in range(count)
    ]


def vectors(*axes: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(axes)]


def put(
    store: VectorStore,
    name: str,
    axes: tuple[int, ...] = (0, 1),
    *,
    cut: str = CUT,
    texts: tuple[str, ...] = (),
    collection: str = DOCS,
    **fields: Any,
) -> Document:
    kept = document(name, chunks=len(axes), **fields)
    made = chunks(name, count=len(axes), source=kept.source, cut=cut, texts=texts)
    store.upsert(collection, made, vectors(*axes), chunker=cut, identity=IDENTITY)
    return store.publish(collection, kept, chunker=cut)


def nearest(store: VectorStore, axis: int, limit: int = 5, **asked: Any) -> tuple[Passage, ...]:
    call = SearchCall(query="?", limit=limit, collection=DOCS, mode=SearchMode.DENSE, **asked)
    return store.search(DOCS, call, vectors(axis)[0], identity=IDENTITY)


def worded(store: VectorStore, query: str, limit: int = 5, **asked: Any) -> tuple[Passage, ...]:
    call = SearchCall(query=query, limit=limit, collection=DOCS, mode=SearchMode.BM25, **asked)
    return store.search(DOCS, call, None, identity=IDENTITY)


def names(passages: tuple[Passage, ...]) -> list[str]:
    return [passage.chunk.document_id for passage in passages]
