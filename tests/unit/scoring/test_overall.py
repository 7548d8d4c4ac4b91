import pytest

from pipelines.sweeps.scoring.overall import WEIGHTS, overall


def test_it_is_the_weighted_mean_and_says_of_what() -> None:
    found = overall({"completeness": 100, "readability": 40, "novelty": 0}, {"completeness": 2, "readability": 1})
    assert found.score == pytest.approx(80)
    assert found.features == {"overall_of": "completeness, readability", "overall_weight": 1}


def test_what_is_absent_is_left_out_and_told() -> None:
    found = overall({"completeness": 90}, {"completeness": 1, "coherence": 3, "readability": 0})
    assert (found.score, found.features["overall_weight"]) == (90, 0.25)


def test_without_any_part_there_is_none() -> None:
    assert overall({"novelty": 3}, {"completeness": 1}).score is None
    assert overall({"completeness": 3}, {"completeness": 0}).score is None


def test_what_a_higher_temperature_moves_by_itself_has_no_weight_unless_given_one() -> None:
    assert not WEIGHTS.keys() & {"diversity", "novelty", "creativity", "lexical_diversity"}
