import numpy as np
import pytest

from pipelines.sweeps.scoring.creativity import creativity, novelty
from pipelines.sweeps.scoring.measure import absent, scored

EAST, NORTH = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_novelty_is_the_cosine_distance_to_the_greedy_answer() -> None:
    assert novelty(EAST, EAST).score == 0
    assert novelty(NORTH, EAST).score == 100
    assert novelty(np.array([0.8, 0.6]), EAST).score == pytest.approx(20)


def test_beyond_the_opposite_there_is_no_more() -> None:
    assert novelty(-EAST, EAST).score == 100


def test_without_an_anchor_or_vectors_there_is_none() -> None:
    assert "greedy" in (novelty(EAST, None).reason or "")
    assert novelty(None, EAST).score is None
    assert novelty(3 * EAST, -3 * EAST).reason == "the embedding model gave no unit vectors"


def test_creativity_is_the_mean_of_both_and_absent_without_either() -> None:
    assert creativity(scored(40), scored(20)).score == 30
    assert creativity(scored(40), absent("no anchor")).reason == "no novelty: no anchor"
    assert creativity(absent("one repeat"), scored(20)).reason == "no diversity: one repeat"
