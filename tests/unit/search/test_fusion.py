"""Two rankings made one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.documents import LegWeights
from cluster.retrieval.fusion import DEEPEST, alone, at_most_per_document, depth, fuse


def leg(*names: str) -> list[tuple[str, float]]:
    return [(name, 1.0 - at / 10) for at, name in enumerate(names)]


def names(ranked: list) -> list[str]:
    return [hit.chunk_id for hit in ranked]


def test_what_both_found_comes_before_what_one_found():
    assert names(fuse(leg("a", "both"), leg("b", "both")))[0] == "both"


def test_scores_are_sums_of_reciprocal_ranks():
    scores = {hit.chunk_id: hit.score for hit in fuse(leg("a", "b"), leg("b"), k=60)}
    assert scores == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61})


def test_each_hit_tells_the_scores_of_the_legs_that_found_it():
    hits = {hit.chunk_id: hit for hit in fuse([("a", 0.9), ("b", 0.5)], [("b", 7.5), ("c", 2.0)])}
    assert (hits["a"].cosine, hits["a"].bm25) == (0.9, None)
    assert (hits["b"].cosine, hits["b"].bm25) == (0.5, 7.5)
    assert (hits["c"].cosine, hits["c"].bm25) == (None, 2.0)


def test_a_weight_leans_towards_its_leg():
    assert names(fuse(leg("a"), leg("b"), weights=LegWeights(dense=2.0))) == ["a", "b"]
    assert names(fuse(leg("a"), leg("b"), weights=LegWeights(bm25=2.0))) == ["b", "a"]


def test_equal_weights_rank_as_none_do():
    legs = leg("a", "b", "c"), leg("c", "d", "a")
    assert fuse(*legs, weights=LegWeights()) == fuse(*legs)
    assert names(fuse(*legs, weights=LegWeights(dense=3.0, bm25=3.0))) == names(fuse(*legs))


def test_one_leg_empty_leaves_the_others_order():
    assert names(fuse(leg("c", "a", "b"), [])) == ["c", "a", "b"]
    assert names(fuse([], leg("c", "a", "b"))) == ["c", "a", "b"]
    assert fuse([], []) == []


def test_equal_scores_go_to_the_nearer_in_meaning():
    assert names(fuse(leg("z"), leg("a"))) == ["z", "a"]


@given(
    dense=st.lists(st.sampled_from("abcdefgh"), unique=True),
    lexical=st.lists(st.sampled_from("abcdefgh"), unique=True),
)
@settings(max_examples=50, deadline=None)
def test_fusing_keeps_all_once_and_what_both_legs_agree_on(dense: list[str], lexical: list[str]):
    fused = names(fuse(leg(*dense), leg(*lexical)))
    assert sorted(fused) == sorted(set(dense) | set(lexical))
    both = [name for name in fused if name in dense and name in lexical]
    for one in both:
        for other in both:
            if dense.index(one) < dense.index(other) and lexical.index(one) < lexical.index(other):
                assert fused.index(one) < fused.index(other)


def test_a_leg_alone_is_ranked_by_its_own_score():
    near, worded = alone(dense=[("a", 0.9)]), alone(lexical=[("b", 7.0)])
    assert (near[0].score, near[0].cosine, near[0].bm25) == (0.9, 0.9, None)
    assert (worded[0].score, worded[0].cosine, worded[0].bm25) == (7.0, None, 7.0)
    assert alone() == []


def test_legs_are_asked_for_more_than_is_wanted():
    assert depth(4) == DEEPEST
    assert depth(1000) == 2000
    assert depth(1000, diversity=0.5) == depth(1000, per_document=1) == 4000


def test_a_document_gives_its_best_passages_and_no_more():
    ranked = ["a1", "b1", "a2", "a3", "c1", "b2"]
    assert at_most_per_document(ranked, document_of=lambda each: each[0], per_document=1) == ["a1", "b1", "c1"]
    assert at_most_per_document(ranked, document_of=lambda each: each[0], per_document=2) == [
        "a1", "b1", "a2", "c1", "b2",
    ]  # fmt: skip
    assert at_most_per_document(ranked, document_of=lambda each: each[0], per_document=None) == ranked
