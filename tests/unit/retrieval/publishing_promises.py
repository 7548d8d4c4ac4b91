"""What every vector store keeps of documents, as tests over a fixture `store`."""

from dataclasses import replace

import pytest

from cluster.errors import Conflict, DocumentNotFound
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.vector_parts import (
    CUT,
    DOCS,
    IDENTITY,
    chunks,
    document,
    names,
    nearest,
    put,
    vectors,
    worded,
)


def test_hides_a_document_until_it_is_published(store: VectorStore) -> None:
    store.upsert(DOCS, chunks("d1"), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    assert nearest(store, 0) == worded(store, "d1") == ()
    assert store.documents(DOCS) == ()
    assert store.count(DOCS) == 2


def test_a_document_whose_chunks_are_not_all_stored_is_not_published(store: VectorStore) -> None:
    with pytest.raises(Conflict, match="0 of its 2 chunks"):
        store.publish(DOCS, document("d1"), chunker=CUT)
    store.upsert(DOCS, chunks("d1", count=1), vectors(0), chunker=CUT, identity=IDENTITY)
    put(store, "d2", source="b.txt")
    with pytest.raises(Conflict, match="1 of its 2 chunks"):
        store.publish_many(DOCS, [replace(document("d2"), source="c.txt"), document("d1")], chunker=CUT)
    assert [found.source for found in store.documents(DOCS)] == ["b.txt"]


def test_writing_the_same_again_changes_nothing(store: VectorStore) -> None:
    put(store, "d1")
    before = (store.documents(DOCS), store.count(DOCS), nearest(store, 0), worded(store, "d1"))
    put(store, "d1")
    assert (store.documents(DOCS), store.count(DOCS), nearest(store, 0), worded(store, "d1")) == before


def test_says_which_chunks_are_missing(store: VectorStore) -> None:
    assert store.missing(DOCS, ["x"]) == ["x"]
    put(store, "d1")
    assert store.missing(DOCS, ["x", f"d1-{CUT}-0", "y"]) == ["x", "y"]


def test_a_new_version_of_a_source_replaces_the_old_one(store: VectorStore) -> None:
    put(store, "old", tags=("kept",), metadata={"year": 1, "kind": "a"})
    new = put(store, "new", created=2, tags=("more",), metadata={"year": 2})
    assert store.documents(DOCS) == (new,)
    assert (new.tags, new.metadata) == (("kept", "more"), {"year": 2, "kind": "a"})
    assert store.count(DOCS) == 2
    assert set(names(nearest(store, 0))) == {"new"}


def test_the_same_bytes_under_two_names_leave_with_the_last_name(store: VectorStore) -> None:
    put(store, "same", source="a.txt", tags=("a",))
    assert put(store, "same", source="b.txt", tags=("b", "a")).tags == ("a", "b")
    assert [found.source for found in store.documents(DOCS)] == ["b.txt"]
    put(store, "other", source="b.txt", created=2)
    assert [(found.id, found.source) for found in store.documents(DOCS)] == [("other", "b.txt"), ("same", "a.txt")]
    put(store, "third", source="a.txt", created=3)
    assert {found.id for found in store.documents(DOCS)} == {"other", "third"}
    assert store.count(DOCS) == 4


def test_names_are_taken_away_and_a_document_leaves_with_its_last(store: VectorStore) -> None:
    put(store, "same", source="a.txt")
    put(store, "same", source="b.txt")
    put(store, "other", source="c.txt")
    assert store.unpublish_sources(DOCS, ["b.txt", "unknown"]) == ()
    gone = store.unpublish_sources(DOCS, ["a.txt", "c.txt"])
    assert {one.id for one in gone} == {"same", "other"}
    assert (store.documents(DOCS), store.count(DOCS)) == ((), 0)


def test_several_documents_are_published_at_once(store: VectorStore) -> None:
    put(store, "old", source="a.txt")
    for name in ("d1", "d2", "d3"):
        store.upsert(DOCS, chunks(name), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    many = [document("d1", source="a.txt"), document("d2", source="b.txt"), document("d3", source="b.txt")]
    assert [one.id for one in store.publish_many(DOCS, many[:2], chunker=CUT)] == ["d1", "d2"]
    assert store.held_many(DOCS, ["d2", "old", "d1"], chunker=CUT) == (many[1], None, many[0])
    store.publish_many(DOCS, many[2:], chunker=CUT)
    assert {one.id for one in store.documents(DOCS)} == {"d1", "d3"}
    assert store.count(DOCS) == 4


def test_another_chunker_cuts_a_document_anew(store: VectorStore) -> None:
    put(store, "d1", (0, 1, 2))
    assert store.held(DOCS, "d1", chunker=CUT) == document("d1", chunks=3)
    assert store.held(DOCS, "d1", chunker="cut-2") is None
    assert len(worded(store, "d1")) == 3
    put(store, "d1", (3,), cut="cut-2")
    assert store.held(DOCS, "d1", chunker=CUT) is None
    assert store.count(DOCS) == len(worded(store, "d1")) == len(store.chunks(DOCS, "d1")) == 1


def test_deleting_removes_chunks_and_document(store: VectorStore) -> None:
    put(store, "d1")
    put(store, "d2", (2, 3), source="b.txt")
    assert store.delete(DOCS, "d1").id == "d1"
    assert [found.id for found in store.documents(DOCS)] == ["d2"]
    assert store.count(DOCS) == 2
    with pytest.raises(DocumentNotFound, match="d1"):
        store.delete(DOCS, "d1")


def test_a_document_is_shown_with_its_chunks_in_order(store: VectorStore) -> None:
    put(store, "d1", (0, 1, 2, 3))
    assert store.document(DOCS, "d1") == document("d1", chunks=4)
    made = tuple(chunks("d1", count=4))
    assert store.chunks(DOCS, "d1") == made
    assert store.chunks(DOCS, "d1", first=1, limit=2) == made[1:3]
    assert store.chunks(DOCS, "d1", first=9) == ()
    for ask in (store.document, store.chunks):
        with pytest.raises(DocumentNotFound):
            ask(DOCS, "d9")


def test_tags_and_metadata_are_set_and_kept(store: VectorStore) -> None:
    put(store, "d1", tags=("a",), metadata={"year": 2024})
    assert store.annotate(DOCS, "d1", tags=("b", "c", "b"), metadata=None).tags == ("b", "c")
    changed = store.annotate(DOCS, "d1", tags=None, metadata={"open": True})
    assert (changed.tags, changed.metadata) == (("b", "c"), {"open": True})
    assert store.documents(DOCS) == (changed,)
    with pytest.raises(DocumentNotFound):
        store.annotate(DOCS, "d9", tags=(), metadata=None)


def test_documents_are_listed_newest_first(store: VectorStore) -> None:
    put(store, "d1", created=5)
    put(store, "d2", source="b.txt", created=9)
    assert [found.id for found in store.documents(DOCS)] == ["d2", "d1"]
