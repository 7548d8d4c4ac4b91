"""The index of words: equal to bm25s on any texts, whatever came and went before."""

import string

import bm25s
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.retrieval import lexical
from cluster.retrieval.analyser import Analyser
from cluster.retrieval.lexical import LexicalIndex

WORDS = st.sampled_from(["library", "libraries", "system", "of", "retrieval", "index", "vllm_norms", "1.5", "文書"])
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


def index_of(*texts: str) -> LexicalIndex:
    index = LexicalIndex()
    for number, text in enumerate(texts):
        index.add(f"d{number}", [(f"c{number}", text)])
    return index


def found(index: LexicalIndex, text: str, **options: object) -> list[str]:
    return [hit.chunk_id for hit in index.search(text, limit=10, **options)]


def by_bm25s(texts: list[str], query: str) -> dict[str, float]:
    analyser = Analyser()
    model = bm25s.BM25(k1=lexical.K1, b=lexical.B)
    model.index([analyser.all_terms(text) for text in texts], show_progress=False)
    scores = model.get_scores(analyser.all_terms(query))
    return {f"c{number}": float(score) for number, score in enumerate(scores) if score > 0}


@given(texts=st.lists(TEXTS, min_size=1, max_size=8), query=TEXTS.filter(bool))
@settings(max_examples=40, deadline=None)
def test_scores_are_those_of_bm25s(texts: list[str], query: str):
    if not any(Analyser().all_terms(text) for text in texts) or not Analyser().all_terms(query):
        return  # bm25s builds no index of nothing
    ours = {hit.chunk_id: hit.score for hit in index_of(*texts).search(query, limit=len(texts))}
    theirs = by_bm25s(texts, query)
    assert ours.keys() == theirs.keys()
    assert ours == pytest.approx(theirs, rel=1e-5)


@given(
    changes=st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.lists(TEXTS, max_size=3))), max_size=14),
    query=TEXTS,
    tidied=st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_after_any_changes_it_answers_as_one_made_anew(changes, query, tidied):
    least = lexical.LEAST_LOST
    lexical.LEAST_LOST = 1 if tidied else least
    try:
        index, left = LexicalIndex(), {}
        for number, texts in changes:
            document = f"d{number}"
            left.pop(document, None)
            if texts is None:
                index.remove(document)
            else:
                left[document] = [(f"{document}-{at}", text) for at, text in enumerate(texts)]
                index.add(document, left[document])
            index.search(query, limit=3)  # what it remembers of this is worth nothing after the next change
    finally:
        lexical.LEAST_LOST = least
    anew = LexicalIndex()
    for document, chunks in left.items():
        anew.add(document, chunks)
    assert index.search(query, limit=50) == anew.search(query, limit=50)
    assert len(index) == sum(map(len, left.values()))
    assert set(index.documents()) == set(left)


def test_weights_beyond_what_is_remembered_are_computed_again(monkeypatch: pytest.MonkeyPatch):
    texts = ["one two three four", "two two five", "three one"]
    whole = index_of(*texts).search("one two three two five", limit=9)
    monkeypatch.setattr(lexical, "MOST_WEIGHED", 2)
    index = index_of(*texts)
    assert [index.search("one two three two five", limit=9) for _ in range(3)] == [whole] * 3


def test_the_ranking_of_a_few_is_the_top_of_the_whole():
    index = index_of(*(("retrieval " * (1 + number % 7) + "of text " * (number % 5)) for number in range(200)))
    whole = index.search("retrieval text", limit=200)
    assert len(whole) == 200
    for limit in (1, 7, 199):
        assert index.search("retrieval text", limit=limit) == whole[:limit]


@pytest.mark.parametrize("kept", [1, 20, 120, 200])
def test_a_filter_leaves_the_same_scores_and_order(kept: int):
    index = index_of(*("retrieval " * (1 + number % 7) + "text" for number in range(200)))
    among = frozenset(f"d{number}" for number in range(200 - kept, 200))
    whole = [hit for hit in index.search("retrieval", limit=200) if hit.document_id in among]
    assert index.search("retrieval", limit=10, among=among) == whole[:10]
    assert index.search("retrieval", limit=500, among=among) == whole


def test_a_filter_may_name_documents_that_are_not_here():
    index = index_of("library")
    assert found(index, "library", among=frozenset({"d7"})) == []
    assert found(index, "library", among=frozenset()) == []
    assert found(index, "library", among=frozenset({"d7", "d0"})) == ["c0"]


def test_a_documents_new_version_takes_the_place_of_the_old():
    index = index_of("old words", "other")
    index.add("d0", [("c9", "new words")])
    assert found(index, "old") == []
    assert found(index, "words") == ["c9"]
    assert len(index) == 2


def test_removing_says_whether_it_was_there():
    index = index_of("library")
    assert index.remove("d0")
    assert not index.remove("d0")
    assert "d0" not in index
    assert found(index, "library") == []


@pytest.mark.parametrize("query", ["", "   ", "the of and", "unheard", "?!", "\x00"])
def test_a_query_without_a_known_word_finds_nothing(query: str):
    assert found(index_of("library system"), query) == []
    assert found(LexicalIndex(), query) == []


def test_no_limit_no_hits():
    assert index_of("library").search("library", limit=0) == []


def test_chunks_and_documents_without_words_are_held_and_never_found():
    index = index_of("", "library")
    index.add("d2", [])
    assert len(index) == 2
    assert "d2" in index
    assert found(index, "library") == ["c1"]
    index.remove("d2")
    assert "d2" not in index


def test_a_word_asked_for_twice_weighs_twice():
    index = index_of("library", "system")
    once, twice = index.search("library", limit=1)[0], index.search("library library", limit=1)[0]
    assert twice.score == pytest.approx(2 * once.score)


def test_a_very_long_query_is_answered():
    letters = np.random.default_rng(0).choice(list(string.ascii_lowercase + " "), 100_000)
    assert found(index_of("library system"), "".join(letters) + " library") == ["c0"]


def test_words_are_forgotten_without_losing_terms(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lexical, "MOST_WORDS", 2)
    index = index_of("library system retrieval index", "library again")
    assert set(found(index, "library")) == {"c0", "c1"}
