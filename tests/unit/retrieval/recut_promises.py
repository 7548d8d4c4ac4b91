"""What every vector store promises of a collection's recuts, as tests over a fixture `store`."""

import pytest

from cluster.errors import BadRequest, CollectionNotFound
from cluster.stores.collection_names import is_operators
from cluster.stores.recut_names import base_of, recut_name
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.vector_parts import CUT, DOCS, IDENTITY, chunks, put, vectors

RECUT = recut_name(DOCS, tokens=64, overlap=8)


def both(store: VectorStore) -> None:
    """A collection of two documents, and a recut of it."""
    for collection in (DOCS, RECUT):
        put(store, "d1", collection=collection, source="a.txt")
        put(store, "d2", collection=collection, source="b.txt")


def test_a_recut_is_named_after_its_collection_and_nobody_can_name_it() -> None:
    for base in (DOCS, "t-0123", "t-cut", "a.b-c_d", "x" * 400):
        name = recut_name(base, tokens=256, overlap=32)
        assert base_of(name) == base
        assert not is_operators(name)
    assert [base_of(name) for name in (DOCS, "t-cut-x-1-docs", f"t-{'c' * 32}")] == [None] * 3
    assert len({recut_name(DOCS, tokens=a, overlap=b) for a, b in ((64, 8), (64, 16), (32, 8))}) == 3


def test_a_name_that_leaves_no_room_for_a_recuts_is_refused() -> None:
    with pytest.raises(BadRequest, match="too long"):
        recut_name("x" * 500, tokens=64, overlap=0)


def test_a_recut_is_not_listed(store: VectorStore) -> None:
    both(store)
    assert [card.name for card in store.collections()] == [DOCS]
    assert len(store.documents(RECUT)) == 2


def test_a_document_that_is_deleted_leaves_the_recuts_too(store: VectorStore) -> None:
    both(store)
    put(store, "d1", collection="docs-of-others")
    store.delete(DOCS, "d1")
    assert [one.id for one in store.documents(RECUT)] == ["d2"]
    assert store.count(RECUT) == 2
    store.unpublish_sources(DOCS, ["b.txt"])
    assert store.documents(RECUT) == ()
    assert len(store.documents("docs-of-others")) == 1


def test_a_document_that_keeps_a_name_stays_in_the_recuts(store: VectorStore) -> None:
    both(store)
    put(store, "d1", source="c.txt")
    store.unpublish_sources(DOCS, ["a.txt"])
    assert len(store.documents(RECUT)) == 2


def test_a_collections_recuts_go_with_it(store: VectorStore) -> None:
    both(store)
    other = recut_name("docs-of-others", tokens=64, overlap=8)
    put(store, "d1", collection="docs-of-others")
    put(store, "d1", collection=other)
    store.remove_collection(DOCS)
    assert (store.documents(RECUT), store.count(RECUT)) == ((), 0)
    assert len(store.documents(other)) == 1
    with pytest.raises(CollectionNotFound):
        store.remove_collection(RECUT)


def test_nothing_is_stored_in_a_recut_of_what_is_not_there(store: VectorStore) -> None:
    with pytest.raises(CollectionNotFound, match=DOCS):
        store.upsert(RECUT, chunks("d1"), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    both(store)
    store.remove_collection(DOCS)
    with pytest.raises(CollectionNotFound):
        store.upsert(RECUT, chunks("d1"), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    assert store.count(RECUT) == 0
