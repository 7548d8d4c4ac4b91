import numpy as np
import pytest
from scipy import stats

from cluster.errors import BadRequest
from pipelines.analysis import comparisons
from pipelines.analysis.correlation import correlations, rhos_of, within_prompts
from tests.unit.analysis.sweeps import frame, world


def test_rho_is_the_mean_of_the_prompts_own_spearmans():
    values = world(1, 8, 6, effect=[0, 1, 2, 3, 4, 5])
    told = within_prompts(frame(values), "temperature", "overall")
    rhos = [stats.spearmanr(range(6), row).statistic for row in values.mean(axis=2)]
    assert told.rho == pytest.approx(np.mean(rhos), rel=1e-9)
    assert told.prompts == 8
    assert told.low < told.rho < told.high


def test_rhos_with_ties_and_gaps_are_scipys():
    random = np.random.default_rng(2)
    x, y = random.integers(0, 4, (20, 9)).astype(float), random.standard_normal((20, 9))
    y[random.random(y.shape) < 0.2] = np.nan
    expected = [stats.spearmanr(a[np.isfinite(b)], b[np.isfinite(b)]).statistic for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(rhos_of(x, y), expected, rtol=1e-9, atol=1e-12)


def test_prompts_that_differ_in_level_make_no_correlation():
    values = np.zeros((10, 4, 1)) + 100 * np.arange(10.0).reshape(10, 1, 1)
    values += np.random.default_rng(3).standard_normal(values.shape)
    told = within_prompts(frame(values), "latency_ms", "overall")  # latency grows with the prompt's number, too
    assert abs(told.rho or 0) < 0.4
    assert not told.significant


def test_a_rising_score_is_found_and_its_strength_named():
    told = within_prompts(frame(world(1, 20, 5, effect=[0, 3, 6, 9, 12])), "temperature", "overall")
    assert told.significant
    assert told.strength == "strong"
    assert told.test.startswith("paired t test")


def test_several_pairs_are_corrected_together():
    told = correlations(frame(world(1, 10, 5)), ["temperature"], ["overall", "latency_ms", "temperature"])
    assert [each.y for each in told] == ["overall", "latency_ms"]
    assert all(each.p_adjusted >= each.p for each in told)


@pytest.mark.parametrize(
    ("x", "y", "values", "reason"),
    [
        ("temperature", "overall", world(1, 5, 2), "3 configurations"),
        ("max_tokens", "overall", world(1, 5, 4), "both vary"),
        ("temperature", "completion_tokens", world(1, 5, 4), "both vary"),  # the same everywhere
        ("temperature", "cost", world(1, 5, 4), "both vary"),
        ("temperature", "overall", world(1, 1, 4), "two prompts"),
    ],
)
def test_what_does_not_vary_has_no_rho_and_says_so(x, y, values, reason):
    found = frame(values)
    for configuration in found.configurations:
        configuration.parameters["max_tokens"] = 100
    told = within_prompts(found, x, y)
    assert told.p is None
    assert reason in (told.reason or "")


def test_a_factor_of_names_has_no_order_and_no_rho():
    told = within_prompts(frame(world(1, 5, 3), {"model": ["a", "b", "c"]}), "model", "overall")
    assert (told.rho, told.strength) == (None, None)


def test_a_name_that_is_nothing_is_refused():
    with pytest.raises(BadRequest):
        within_prompts(frame(world(1, 5, 3)), "charm", "overall")


def test_without_a_connection_5_percent_of_the_tests_say_there_is_one():
    random = np.random.default_rng(4)
    y = random.standard_normal((500 * 16, 6)) + 10 * random.standard_normal((500 * 16, 1))
    rhos = rhos_of(np.tile(np.arange(6.0), (len(y), 1)), y).reshape(500, 16).T
    assert (comparisons.paired(rhos).p <= 0.05).mean() == pytest.approx(0.05, abs=0.025)
