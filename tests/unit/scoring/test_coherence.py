from itertools import pairwise, permutations

import numpy as np
import pytest

from pipelines.sweeps.scoring.coherence import coherence


def unit(rows: list[list[float]]) -> np.ndarray:
    found = np.array(rows, np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


ORDERED = unit([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 1, 1], [0, 0, 1]])  # each turns a little from the one before


def adjacent(vectors: np.ndarray) -> float:
    return float(np.mean([a @ b for a, b in pairwise(vectors)]))


def test_the_mean_over_shuffled_orders_is_that_over_all_orders() -> None:
    every = np.mean([adjacent(ORDERED[list(order)]) for order in permutations(range(5))])
    features = coherence(ORDERED).features
    assert features["shuffled_cosine"] == pytest.approx(every, abs=1e-6)
    assert features["adjacent_cosine"] == pytest.approx(adjacent(ORDERED), abs=1e-6)


def test_the_score_is_fifty_and_four_hundred_times_the_difference() -> None:
    features = coherence(ORDERED).features
    difference = float(features["adjacent_cosine"]) - float(features["shuffled_cosine"])
    assert coherence(ORDERED).score == pytest.approx(min(100, 50 + 400 * difference))


def test_a_thread_is_better_than_the_same_sentences_out_of_order() -> None:
    in_order, mixed = coherence(ORDERED).score, coherence(ORDERED[[0, 4, 1, 3, 2]]).score
    assert in_order is not None
    assert mixed is not None
    assert in_order > 60 > 50 > mixed


def test_saying_one_thing_again_and_again_is_worth_what_chance_is() -> None:
    assert coherence(np.repeat(ORDERED[:1], 8, axis=0)).score == pytest.approx(50, abs=1e-3)


def test_two_sentences_have_none_and_neither_has_an_answer_without_an_embedder() -> None:
    assert coherence(ORDERED[:2]).reason == "fewer than 3 sentences of running text"
    assert coherence(None).reason == "needs an embedding model"


def test_broken_vectors_give_no_score() -> None:
    assert coherence(ORDERED * 5).score is None
    assert coherence(ORDERED * np.nan).score is None
