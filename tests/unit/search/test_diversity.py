"""Maximal marginal relevance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.retrieval.diversity import diversify

TWINS = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)


def test_without_diversity_the_order_is_relevance():
    assert diversify([0.2, 0.9, 0.5], TWINS, limit=3, diversity=0.0) == [1, 2, 0]


def test_a_twin_of_what_is_chosen_waits_for_what_differs():
    assert diversify([0.9, 0.8, 0.5], TWINS, limit=2, diversity=0.0) == [0, 1]
    assert diversify([0.9, 0.8, 0.5], TWINS, limit=2, diversity=0.5) == [0, 2]
    assert diversify([0.9, 0.8, 0.5], TWINS, limit=3, diversity=0.5) == [0, 2, 1]


def test_the_most_relevant_comes_first_whatever_the_diversity():
    assert diversify([0.1, 0.9, 0.5], TWINS, limit=1, diversity=1.0) == [1]


def test_the_scale_of_relevance_does_not_matter():
    relevance = [0.9, 0.8, 0.5]
    for factor in (0.01, 100.0):
        scaled = [each * factor for each in relevance]
        assert diversify(scaled, TWINS, limit=3, diversity=0.3) == diversify(
            relevance, TWINS, limit=3, diversity=0.3
        )


@pytest.mark.parametrize("relevance", [[0.0, 0.0, 0.0], [-1.0, -2.0, -3.0]])
def test_without_any_relevance_the_first_comes_first(relevance: list[float]):
    assert diversify(relevance, TWINS, limit=2, diversity=0.5) == [0, 2]


def test_nothing_of_nothing():
    assert diversify([], np.zeros((0, 2), dtype=np.float32), limit=3, diversity=0.5) == []
    assert diversify([1.0], TWINS[:1], limit=0, diversity=0.5) == []


def by_the_definition(relevance, vectors, limit, diversity):
    best = max(relevance)
    chosen = [relevance.index(best)]
    while len(chosen) < min(limit, len(relevance)):
        gains = {
            at: (1 - diversity) * relevance[at] / best
            - diversity * max(float(vectors[at] @ vectors[other]) for other in chosen)
            for at in range(len(relevance))
            if at not in chosen
        }
        chosen.append(max(gains, key=lambda at: gains[at]))
    return chosen


@given(
    relevance=st.lists(st.floats(0.01, 1), min_size=1, max_size=8, unique=True),
    limit=st.integers(1, 9),
    diversity=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_it_is_the_definition_step_by_step(relevance, limit, diversity, seed):
    vectors = np.random.default_rng(seed).normal(size=(len(relevance), 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    chosen = diversify(relevance, vectors, limit=limit, diversity=diversity)
    assert len(set(chosen)) == len(chosen) == min(limit, len(relevance))
    assert chosen == by_the_definition(relevance, vectors, limit, diversity)
