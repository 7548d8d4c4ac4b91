"""What every vector store promises, as tests over a fixture `store`; test modules import them all."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cluster.documents import Chunk, CollectionCard, Document, EmbedderIdentity, Passage, SearchCall, SearchMode
from cluster.errors import BadRequest, CollectionNotFound, Conflict, DocumentNotFound, EmbedderMismatch
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


def test_finds_the_nearest_chunk_with_its_exact_fields_and_cosine(store: VectorStore) -> None:
    put(store, "d1")
    best, other = nearest(store, 1)
    assert best.chunk == chunks("d1")[1]
    assert (best.score, best.cosine, best.bm25) == (pytest.approx(1), pytest.approx(1), None)
    assert other.chunk == chunks("d1")[0]
    assert other.score == pytest.approx(0, abs=1e-6)


def test_finds_a_chunk_by_its_words(store: VectorStore) -> None:
    put(store, "d1", texts=("the red mill", "a green tower"))
    (found,) = worded(store, "towers")
    assert found.chunk.text == "a green tower"
    assert found.bm25 is not None
    assert (found.score, found.cosine) == (found.bm25, None)


def test_a_hybrid_search_finds_by_meaning_and_by_words(store: VectorStore) -> None:
    put(store, "near", (0,), texts=("nothing of it",), source="n.txt")
    put(store, "worded", (3,), texts=("a green tower",), source="w.txt")
    put(store, "both", (0,), texts=("towers",), source="b.txt")
    call = SearchCall(query="tower", limit=5, collection=DOCS)
    found = store.search(DOCS, call, vectors(0)[0], identity=IDENTITY)
    assert names(found)[0] == "both"
    assert set(names(found)) == {"both", "near", "worded"}
    scores = {one.chunk.document_id: (one.cosine, one.bm25) for one in found}
    assert scores["both"][0] == pytest.approx(1)
    assert scores["both"][1]
    assert scores["near"][1] is None


def test_words_are_found_and_lost_as_soon_as_documents_are(store: VectorStore) -> None:
    put(store, "old", texts=("alpha", "alpha beta"))
    assert names(worded(store, "alpha")) == ["old", "old"]
    store.upsert(DOCS, chunks("new", texts=("gamma", "beta")), vectors(0, 1), chunker=CUT, identity=IDENTITY)
    assert names(worded(store, "gamma")) == []
    store.publish(DOCS, document("new", created=2), chunker=CUT)
    assert (names(worded(store, "gamma")), names(worded(store, "alpha"))) == (["new"], [])
    store.delete(DOCS, "new")
    assert worded(store, "gamma beta") == ()


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


def test_looks_past_hidden_chunks_that_are_nearer(store: VectorStore) -> None:
    store.upsert(DOCS, chunks("hidden", count=208), vectors(*[0] * 208), chunker=CUT, identity=IDENTITY)
    put(store, "d1", (1, 2), source="b.txt")
    assert names(nearest(store, 0, limit=2)) == ["d1", "d1"]


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


def test_citations_name_the_newest_source(store: VectorStore) -> None:
    put(store, "same", source="a.txt")
    store.publish(DOCS, document("same", source="b.txt"), chunker=CUT)
    assert nearest(store, 0, limit=1)[0].chunk.source == "b.txt"


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


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({"type": "eq", "key": "year", "value": 2023}, {"d1"}),
        ({"type": "gte", "key": "year", "value": 2023}, {"d1", "d2"}),
        ({"type": "eq", "key": "tags", "value": "paper"}, {"d2"}),
        ({"type": "eq", "key": "nowhere", "value": 1}, set()),
    ],
)
def test_filters_hold_on_both_legs(store: VectorStore, where: Mapping[str, Any], found: set[str]) -> None:
    put(store, "d1", source="a.txt", texts=("word", "word"), metadata={"year": 2023})
    put(store, "d2", source="b.txt", texts=("word", "word"), metadata={"year": 2024}, tags=("paper",))
    put(store, "d3", source="c.txt", texts=("word", "word"))
    assert set(names(nearest(store, 0, limit=9, where=where))) == found
    assert set(names(worded(store, "word", limit=9, where=where))) == found


def test_a_wrong_filter_is_refused_by_its_place(store: VectorStore) -> None:
    put(store, "d1")
    with pytest.raises(BadRequest) as refused:
        nearest(store, 0, where={"type": "like", "key": "year", "value": 1})
    assert (refused.value.param or "").startswith("where")


def test_one_document_gives_no_more_passages_than_wanted(store: VectorStore) -> None:
    put(store, "d1", (0,) * 150, source="a.txt")
    put(store, "d2", (1, 2), source="b.txt")
    found = nearest(store, 0, limit=3, per_document=1)
    assert sorted(names(found)) == ["d1", "d2"]


def test_diversity_takes_what_the_others_do_not_say(store: VectorStore) -> None:
    put(store, "d1", (0, 0, 0, 1), texts=("tower", "tower", "tower", "tower hall of the town"))
    call = SearchCall(query="tower", limit=2, collection=DOCS, mode=SearchMode.BM25)
    alike = store.search(DOCS, call, None, identity=IDENTITY)
    assert [passage.chunk.ordinal for passage in alike] == [0, 1]
    diverse = store.search(DOCS, replace(call, diversity=0.8), None, identity=IDENTITY)
    assert [passage.chunk.ordinal for passage in diverse] == [0, 3]


def test_documents_are_listed_newest_first(store: VectorStore) -> None:
    put(store, "d1", created=5)
    put(store, "d2", source="b.txt", created=9)
    assert [found.id for found in store.documents(DOCS)] == ["d2", "d1"]


def test_another_embedder_is_refused_by_name(store: VectorStore) -> None:
    put(store, "d1")
    assert store.identity(DOCS) == IDENTITY
    other = replace(IDENTITY, revision="r2")
    call = SearchCall(query="q", limit=1, collection=DOCS)
    with pytest.raises(EmbedderMismatch, match=r"revision r1.*revision r2"):
        store.search(DOCS, call, vectors(0)[0], identity=other)
    with pytest.raises(EmbedderMismatch):
        store.upsert(DOCS, chunks("d2"), vectors(0, 1), chunker=CUT, identity=other)


@pytest.mark.parametrize("wrong", [np.full((2, 4), np.nan), np.full((2, 4), np.inf), np.eye(2, 3), np.eye(3, 4)])
def test_vectors_that_nothing_can_be_found_by_are_refused(store: VectorStore, wrong: np.ndarray) -> None:
    with pytest.raises(BadRequest, match=r"shape|NaN"):
        store.upsert(DOCS, chunks("d1"), wrong.astype(np.float32), chunker=CUT, identity=IDENTITY)
    put(store, "d1")
    if wrong.shape[1] != 4 or not np.isfinite(wrong).all():
        call = SearchCall(query="q", limit=1, collection=DOCS)
        with pytest.raises(BadRequest, match=r"shape|NaN"):
            store.search(DOCS, call, wrong[0].astype(np.float32), identity=IDENTITY)
    assert store.count(DOCS) == 2


def test_an_emptied_store_takes_another_embedder(store: VectorStore) -> None:
    put(store, "d1")
    store.delete(DOCS, "d1")
    wide = EmbedderIdentity(model="embed", revision="r2", dimensions=8)
    store.upsert(DOCS, chunks("d2"), np.eye(8, dtype=np.float32)[:2], chunker=CUT, identity=wide)
    assert store.identity(DOCS) == wide


def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    assert nearest(store, 0) == worded(store, "word") == ()
    assert store.documents(DOCS) == store.collections() == ()
    assert store.count(DOCS) == 0
    assert store.identity(DOCS) is None


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
