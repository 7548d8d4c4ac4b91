"""What every vector store promises, as tests over a fixture `store`; test modules import them all."""

from dataclasses import replace

import numpy as np
import pytest

from cluster.errors import DocumentNotFound, EmbedderMismatch
from cluster.stores.vectors import VectorStore
from cluster.types import Chunk, Document, EmbedderIdentity

IDENTITY = EmbedderIdentity(model="embed", revision="r1", dimensions=4)
CUT = "cut-1"


def document(name: str, *, source: str = "a.txt", created: int = 1, chunks: int = 2) -> Document:
    return Document(id=name, source=source, media_type="text/plain", chunks=chunks, characters=9, created=created)


def chunks(name: str, *, count: int = 2, source: str = "a.txt", cut: str = CUT) -> list[Chunk]:
    return [
        Chunk(
            id=f"{name}-{cut}-{ordinal}",
            document_id=name,
            source=source,
            ordinal=ordinal,
            start=ordinal * 4,
            end=ordinal * 4 + 3,
            text=f"{name} {ordinal}",
            tokens=2,
            page=ordinal + 1 if ordinal else None,
            heading="Top > Sub" if ordinal else None,
        )
        for ordinal in range(count)
    ]


def vectors(*axes: int) -> np.ndarray:
    return np.eye(4, dtype=np.float32)[list(axes)]


def put(store: VectorStore, name: str, axes: tuple[int, ...] = (0, 1), cut: str = CUT, **fields: object) -> None:
    kept = document(name, chunks=len(axes), **fields)
    store.upsert(
        chunks(name, count=len(axes), source=kept.source, cut=cut), vectors(*axes), chunker=cut, identity=IDENTITY
    )
    store.publish(kept, chunker=cut)


def test_finds_the_nearest_chunk_with_its_exact_fields_and_cosine(store: VectorStore) -> None:
    put(store, "d1")
    best, other = store.query(vectors(1)[0], limit=5, identity=IDENTITY)
    assert best.chunk == chunks("d1")[1]
    assert best.score == pytest.approx(1)
    assert other.chunk == chunks("d1")[0]
    assert other.score == pytest.approx(0, abs=1e-6)


def test_hides_a_document_until_it_is_published(store: VectorStore) -> None:
    store.upsert(chunks("d1"), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    assert store.query(vectors(0)[0], limit=5, identity=IDENTITY) == ()
    assert store.documents() == ()
    assert store.count() == 2


def test_looks_past_hidden_chunks_that_are_nearer(store: VectorStore) -> None:
    store.upsert(chunks("hidden", count=8), vectors(*[0] * 8), chunker=CUT, identity=IDENTITY)
    put(store, "d1", (1, 2), source="b.txt")
    found = store.query(vectors(0)[0], limit=2, identity=IDENTITY)
    assert {passage.chunk.document_id for passage in found} == {"d1"}
    assert len(found) == 2


def test_writing_the_same_again_changes_nothing(store: VectorStore) -> None:
    put(store, "d1")
    before = (store.documents(), store.count(), store.query(vectors(0)[0], limit=5, identity=IDENTITY))
    put(store, "d1")
    assert (store.documents(), store.count(), store.query(vectors(0)[0], limit=5, identity=IDENTITY)) == before


def test_says_which_chunks_are_missing(store: VectorStore) -> None:
    assert store.missing(["x"]) == ["x"]
    put(store, "d1")
    assert store.missing(["x", f"d1-{CUT}-0", "y"]) == ["x", "y"]


def test_a_new_version_of_a_source_replaces_the_old_one(store: VectorStore) -> None:
    put(store, "old")
    put(store, "new", created=2)
    assert [found.id for found in store.documents()] == ["new"]
    assert store.count() == 2
    found = store.query(vectors(0)[0], limit=5, identity=IDENTITY)
    assert {passage.chunk.document_id for passage in found} == {"new"}


def test_the_same_bytes_under_two_names_leave_with_the_last_name(store: VectorStore) -> None:
    put(store, "same", source="a.txt")
    put(store, "same", source="b.txt")
    assert [found.source for found in store.documents()] == ["b.txt"]
    put(store, "other", source="b.txt", created=2)
    assert [(found.id, found.source) for found in store.documents()] == [("other", "b.txt"), ("same", "a.txt")]
    put(store, "third", source="a.txt", created=3)
    assert {found.id for found in store.documents()} == {"other", "third"}
    assert store.count() == 4


def test_citations_name_the_newest_source(store: VectorStore) -> None:
    put(store, "same", source="a.txt")
    store.publish(document("same", source="b.txt"), chunker=CUT)
    found = store.query(vectors(0)[0], limit=1, identity=IDENTITY)
    assert found[0].chunk.source == "b.txt"


def test_another_chunker_cuts_a_document_anew(store: VectorStore) -> None:
    put(store, "d1", (0, 1, 2))
    assert store.held("d1", chunker=CUT) == document("d1", chunks=3)
    assert store.held("d1", chunker="cut-2") is None
    put(store, "d1", (3,), cut="cut-2")
    assert store.held("d1", chunker=CUT) is None
    assert store.count() == 1


def test_deleting_removes_chunks_and_document(store: VectorStore) -> None:
    put(store, "d1")
    put(store, "d2", (2, 3), source="b.txt")
    assert store.delete("d1").id == "d1"
    assert [found.id for found in store.documents()] == ["d2"]
    assert store.count() == 2
    with pytest.raises(DocumentNotFound, match="d1"):
        store.delete("d1")


def test_documents_are_listed_newest_first(store: VectorStore) -> None:
    put(store, "d1", created=5)
    put(store, "d2", source="b.txt", created=9)
    assert [found.id for found in store.documents()] == ["d2", "d1"]


def test_another_embedder_is_refused_by_name(store: VectorStore) -> None:
    put(store, "d1")
    assert store.identity() == IDENTITY
    other = replace(IDENTITY, revision="r2")
    with pytest.raises(EmbedderMismatch, match=r"revision r1.*revision r2"):
        store.query(vectors(0)[0], limit=1, identity=other)
    with pytest.raises(EmbedderMismatch):
        store.upsert(chunks("d2"), vectors(0, 1), chunker=CUT, identity=other)


def test_an_emptied_store_takes_another_embedder(store: VectorStore) -> None:
    put(store, "d1")
    store.delete("d1")
    wide = EmbedderIdentity(model="embed", revision="r2", dimensions=8)
    store.upsert(chunks("d2"), np.eye(8, dtype=np.float32)[:2], chunker=CUT, identity=wide)
    assert store.identity() == wide


def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    assert store.query(vectors(0)[0], limit=3, identity=IDENTITY) == ()
    assert store.documents() == ()
    assert store.count() == 0
    assert store.identity() is None
