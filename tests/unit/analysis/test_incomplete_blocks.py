import numpy as np
import pytest

from pipelines.analysis import incomplete_blocks
from pipelines.analysis.best import probabilities


def test_without_gaps_nothing_is_filled():
    matrix = np.random.default_rng(1).standard_normal((5, 3))
    np.testing.assert_array_equal(incomplete_blocks.filled(matrix), matrix)


def test_gaps_are_the_least_squares_fit_of_prompt_and_treatment():
    random = np.random.default_rng(2)
    matrix = random.standard_normal((8, 4)) + 5 * random.standard_normal((8, 1))
    matrix[random.random(matrix.shape) < 0.3] = np.nan
    prompt, column = np.nonzero(np.isfinite(matrix))
    design = np.concatenate([np.eye(8)[prompt], np.eye(4)[column]], axis=1)
    fit = np.linalg.lstsq(design, matrix[prompt, column], rcond=None)[0]
    whole = fit[:8, None] + fit[8:]
    np.testing.assert_allclose(
        incomplete_blocks.filled(matrix), np.where(np.isfinite(matrix), matrix, whole), rtol=1e-9
    )


def test_prompts_without_a_value_are_left_out_and_treatments_stay_without():
    matrix = np.array([[1.0, np.nan, 2.0], [np.nan, np.nan, np.nan], [3.0, np.nan, np.nan]])
    found = incomplete_blocks.filled(matrix)
    assert found.shape == (2, 3)
    assert np.isnan(found[:, 1]).all()
    assert found[1, 2] == pytest.approx(4)


def test_who_answered_the_easy_prompts_alone_is_not_likelier_the_best():
    random = np.random.default_rng(3)
    matrix = np.linspace(0, 90, 20)[:, None] + random.standard_normal((20, 2)) + np.array([0.0, 4.0])
    matrix[:10, 0] = np.nan
    assert probabilities(matrix)[1] > 0.95
