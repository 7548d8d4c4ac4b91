import numpy as np
import pytest
from scipy import stats

from pipelines.analysis import limits
from pipelines.analysis.intervals import configurations
from pipelines.analysis.limits import NO_SPREAD_KNOWN, limits_of
from tests.unit.analysis.sweeps import frame


def test_of_symmetric_values_it_is_students_t():
    half = np.random.default_rng(1).standard_normal((6, 3))
    values = np.concatenate([50 + half, 50 - half])
    found = limits_of(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    np.testing.assert_allclose(found.low, expected.low, rtol=1e-9)
    np.testing.assert_allclose(found.high, expected.high, rtol=1e-9)


def test_under_five_values_it_is_students_t():
    values = np.random.default_rng(2).exponential(1, (4, 3))
    np.testing.assert_allclose(limits_of(values).low, stats.ttest_1samp(values, 0).confidence_interval().low)


def test_the_limits_are_where_halls_transformation_of_t_is_ts_quantile():
    values = np.random.default_rng(3).exponential(1, (16, 5))
    found = limits_of(values)
    skewness = stats.skew(values, bias=False)
    for limit, quantile in ((found.low, stats.t.ppf(0.975, 15)), (found.high, stats.t.ppf(0.025, 15))):
        t = (values.mean(axis=0) - limit) / (values.std(axis=0, ddof=1) / np.sqrt(16))
        curve = skewness / (3 * np.sqrt(16))
        transformed = t + curve * t**2 + curve**2 * t**3 / 3 + skewness / (6 * np.sqrt(16))
        np.testing.assert_allclose(transformed, quantile, rtol=1e-9)


def test_under_15_values_neither_limit_is_nearer_than_ts():
    values = np.random.default_rng(3).exponential(1, (8, 50))
    found, t = limits_of(values), stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low <= t.low + 1e-12).all()
    assert (found.high > t.high).any()
    assert (found.low >= t.low - 1e-12).any()


def test_a_long_tail_has_the_longer_side():
    values = np.random.default_rng(4).lognormal(0, 1, (40, 1))
    found = limits_of(values)
    assert found.high - values.mean() > 1.1 * (values.mean() - found.low)


def test_skewed_means_are_covered_where_t_does_not():
    values = np.random.default_rng(5).exponential(1, (12, 2000))
    found, t = limits_of(values), stats.ttest_1samp(values, 0, axis=0).confidence_interval()
    assert ((found.low <= 1) & (found.high >= 1)).mean() == pytest.approx(0.95, abs=0.015)
    assert ((t.low <= 1) & (t.high >= 1)).mean() < 0.92


@pytest.mark.parametrize(("n", "full"), [(5, 5), (8, 8), (10, 8), (20, 19), (40, 40)])
def test_of_all_or_nothing_they_are_clopper_and_pearsons(n, full):
    found = limits_of(np.array([[100.0]] * full + [[0.0]] * (n - full)), bounds=(0.0, 100.0))
    expected = stats.binomtest(full, n).proportion_ci(method="exact")
    assert found.flat[0]
    assert found.low[0] == pytest.approx(100 * expected.low, abs=1.6)  # drawn weights
    assert found.high[0] == pytest.approx(100 * expected.high, abs=1.6)


def test_limits_do_not_leave_the_bounds():
    found = limits_of(np.array([[100.0], [99], [100], [98], [70]]), bounds=(0.0, 100.0))
    assert found.high[0] == 100


def test_full_scores_everywhere_are_no_certainty_and_it_is_said_why():
    figure = configurations(frame(np.full((6, 1, 3), 100.0)), "overall")[0]
    assert figure.low == pytest.approx(100 * 0.025 ** (1 / 6), abs=1.6)
    assert (figure.high, figure.reason) == (100, NO_SPREAD_KNOWN)


def test_a_constant_without_bounds_has_its_own_value_for_limits():
    figure = configurations(frame(np.full((6, 1, 3), 50.0)), "completion_tokens")[0]
    assert (figure.low, figure.high) == (20, 20)


def test_gaps_change_nothing_but_n():
    values = np.random.default_rng(6).exponential(1, (9, 1))
    gapped = np.insert(values, 4, np.nan, axis=0)
    np.testing.assert_allclose(limits_of(gapped).low, limits_of(values).low, rtol=1e-12)


@pytest.mark.parametrize("values", [[10.0, 90.0], [10.0, 50.0, 90.0], [100.0, 100.0, 40.0, 10.0]])
def test_values_that_mostly_differ_are_not_said_to_be_one_and_the_same(values):
    column = np.array(values)[:, None]
    found, t = limits_of(column, bounds=(0.0, 100.0)), stats.ttest_1samp(column, 0).confidence_interval()
    assert not found.flat[0]
    assert found.low == pytest.approx(np.maximum(t.low, 0))
    assert found.high == pytest.approx(np.minimum(t.high, 100))


def test_scores_that_are_mirrored_have_mirrored_limits():
    values = np.array([100.0] * 17 + [90.0, 30.0, 20.0])[:, None]
    found, mirrored = (limits_of(each, bounds=(0.0, 100.0)) for each in (values, 100 - values))
    assert mirrored.low == pytest.approx(100 - found.high)
    assert mirrored.high == pytest.approx(100 - found.low)


def test_equal_values_share_a_weight_however_many_prompts_there_are():
    limits._weights.cache_clear()
    matrix = np.full((1000, 30), 100.0)
    matrix[0] = 50.0
    for column in range(30):
        matrix[1 : column + 1, column] = np.nan  # as many numbers of prompts
    assert limits_of(matrix, bounds=(0.0, 100.0)).flat.all()
    assert limits._weights((999, 1)).shape == (limits.DRAWS, 3)  # and not 1,001 columns, 30 times
