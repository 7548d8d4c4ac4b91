"""What every vector store finds, as tests over a fixture `store`."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from cluster.documents import SearchCall, SearchMode
from cluster.errors import BadRequest
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


def test_looks_past_hidden_chunks_that_are_nearer(store: VectorStore) -> None:
    store.upsert(DOCS, chunks("hidden", count=208), vectors(*[0] * 208), chunker=CUT, identity=IDENTITY)
    put(store, "d1", (1, 2), source="b.txt")
    assert names(nearest(store, 0, limit=2)) == ["d1", "d1"]


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


def test_citations_name_the_newest_source(store: VectorStore) -> None:
    put(store, "same", source="a.txt")
    store.publish(DOCS, document("same", source="b.txt"), chunker=CUT)
    assert nearest(store, 0, limit=1)[0].chunk.source == "b.txt"


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


def test_an_empty_store_finds_nothing(store: VectorStore) -> None:
    assert nearest(store, 0) == worded(store, "word") == ()
    assert store.documents(DOCS) == store.collections() == ()
    assert store.count(DOCS) == 0
    assert store.identity(DOCS) is None
