"""How every vector store keeps collections apart, as tests over a fixture `store`."""

from dataclasses import replace

import numpy as np
import pytest

from cluster.documents import CollectionCard, EmbedderIdentity, SearchCall
from cluster.errors import BadRequest, CollectionNotFound, EmbedderMismatch
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.vector_parts import CUT, DOCS, IDENTITY, chunks, nearest, put, vectors


def test_collections_do_not_see_each_other(store: VectorStore) -> None:
    put(store, "d1")
    put(store, "d1", collection="more", created=7)
    put(store, "d2", collection="more", source="b.txt")
    assert [one.id for one in store.documents(DOCS)] == ["d1"]
    store.delete(DOCS, "d1")
    assert [one.id for one in store.documents("more")] == ["d1", "d2"]
    assert store.collections() == (
        CollectionCard(name=DOCS, documents=0, chunks=0),
        CollectionCard(name="more", documents=2, chunks=4, identity=IDENTITY),
    )


def test_a_collection_is_forgotten_whole(store: VectorStore) -> None:
    put(store, "d1")
    store.remove_collection(DOCS)
    assert store.collections() == store.documents(DOCS) == nearest(store, 0) == ()
    with pytest.raises(CollectionNotFound, match="docs"):
        store.remove_collection(DOCS)
    put(store, "d1")
    assert store.count(DOCS) == 2


@pytest.mark.parametrize("name", ["", "ab", "../up", "docs.ledger", "-x-", "a" * 506, "a b c", "abc\n"])
def test_names_that_no_collection_can_have_are_refused(store: VectorStore, name: str) -> None:
    with pytest.raises(BadRequest, match="name"):
        store.documents(name)


def test_another_embedder_is_refused_by_name(store: VectorStore) -> None:
    put(store, "d1")
    assert store.identity(DOCS) == IDENTITY
    other = replace(IDENTITY, revision="r2")
    call = SearchCall(query="q", limit=1, collection=DOCS)
    with pytest.raises(EmbedderMismatch, match=r"revision r1.*revision r2"):
        store.search(DOCS, call, vectors(0)[0], identity=other)
    with pytest.raises(EmbedderMismatch):
        store.upsert(DOCS, chunks("d2"), vectors(0, 1), chunker=CUT, identity=other)


def test_an_emptied_store_takes_another_embedder(store: VectorStore) -> None:
    put(store, "d1")
    store.delete(DOCS, "d1")
    wide = EmbedderIdentity(model="embed", revision="r2", dimensions=8)
    store.upsert(DOCS, chunks("d2"), np.eye(8, dtype=np.float32)[:2], chunker=CUT, identity=wide)
    assert store.identity(DOCS) == wide
