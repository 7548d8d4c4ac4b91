from itertools import permutations, product

import numpy as np
import pytest
from scipy import stats

from cluster.errors import BadRequest
from pipelines.analysis import comparisons, corrections, signflips, wilcoxon
from pipelines.analysis.comparisons import pairwise
from pipelines.analysis.friedman import friedman, friedman_of
from pipelines.analysis.ranks import midranks
from pipelines.analysis.standardised import effects_of
from pipelines.analysis.student import columns_of
from tests.unit.analysis.sweeps import frame, world


def test_from_15_prompts_on_it_is_the_paired_t_test_of_prompt_means():
    values = world(1, 20, 2, 4, effect=[0, 2])
    [pair] = pairwise(frame(values), "overall").pairs
    means = values.mean(axis=2)
    expected = stats.ttest_rel(means[:, 0], means[:, 1])
    assert (pair.test, pair.prompts) == ("paired t test", 20)
    assert pair.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert pair.low == pytest.approx(expected.confidence_interval().low, rel=1e-9)
    assert pair.high == pytest.approx(expected.confidence_interval().high, rel=1e-9)


def test_under_15_prompts_it_is_the_exact_permutation_test():
    values = world(2, 9, 2, effect=[0, 3])
    [pair] = pairwise(frame(values), "overall").pairs
    differences = values.mean(axis=2) @ [1, -1]
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert pair.test == "exact paired permutation test"
    assert pair.p == pytest.approx(expected.pvalue, rel=1e-12)


def test_ten_times_the_repeats_of_the_same_answers_change_no_p():
    values = world(3, 16, 2, 2)
    once, often = (pairwise(frame(np.repeat(values, n, axis=2)), "overall").pairs[0].p for n in (1, 10))
    assert often == pytest.approx(once, rel=1e-6)


def test_wilcoxons_exact_p_is_scipys():
    differences = np.random.default_rng(0).standard_normal((11, 40)) + 0.4
    expected = stats.wilcoxon(differences, axis=0, method="exact").pvalue
    np.testing.assert_allclose(wilcoxon.p_values(differences), expected, rtol=1e-9)


def test_wilcoxon_with_ties_and_zeros_counts_all_sign_patterns_of_the_ranks():
    differences = np.array([3.0, 3, -1, 0, 2, -2, 5])
    ranks = np.where(
        differences == 0,
        0,
        stats.rankdata(np.where(differences == 0, np.nan, np.abs(differences)), nan_policy="omit"),
    )
    signs = 1 - 2 * (np.arange(128)[:, None] >> np.arange(7) & 1)
    sums = np.abs(signs @ np.nan_to_num(ranks))
    observed = abs((np.sign(differences) * np.nan_to_num(ranks)).sum())
    assert wilcoxon.p_values(differences[:, None])[0] == pytest.approx((sums >= observed - 1e-9).mean())


def test_many_pairs_of_few_prompts_are_tested_by_ranks(monkeypatch):
    monkeypatch.setattr(comparisons, "PATTERNS", 10)
    assert pairwise(frame(world(1, 8, 4)), "overall").pairs[0].test == "exact Wilcoxon signed-rank test"


def test_five_prompts_cannot_show_anything():
    [pair] = pairwise(frame(world(1, 5, 2, effect=[0, 50])), "overall").pairs
    assert pair.p == pytest.approx(2 / 32)
    assert not pair.significant


def test_the_sign_flips_refuse_more_prompts_than_they_can_count():
    with pytest.raises(ValueError, match="15 prompts"):
        signflips.p_values(np.zeros((15, 1)))


def test_benjamini_hochberg_is_scipys():
    p = np.random.default_rng(1).random(30) ** 2
    np.testing.assert_allclose(
        corrections.adjusted(p, corrections.BH), stats.false_discovery_control(p), rtol=1e-12
    )


def test_holm_steps_down_and_never_back():
    found = corrections.adjusted(np.array([0.04, 0.01, 0.03, 0.6]), corrections.HOLM)
    np.testing.assert_allclose(found, [0.09, 0.04, 0.09, 0.6])


def test_a_missing_p_is_no_test_and_makes_no_other_larger():
    found = corrections.adjusted(np.array([0.01, np.nan, 0.04]), corrections.HOLM)
    assert found[0] == pytest.approx(0.02)
    assert np.isnan(found[1])


@pytest.mark.parametrize(("count", "rule"), [(3, corrections.HOLM), (21, corrections.BH)])
def test_few_comparisons_get_holm_and_a_grid_benjamini_hochberg(count, rule):
    assert corrections.chosen("auto", count) == rule


def test_an_unknown_correction_is_refused():
    with pytest.raises(BadRequest) as refusal:
        pairwise(frame(world(1, 5, 2)), "overall", correction="bonferroni")
    assert refusal.value.param == "correction"


def test_with_a_baseline_each_other_one_is_compared_with_it():
    found = frame(world(1, 16, 4))
    baseline = found.configurations[2].id
    told = pairwise(found, "overall", baseline=baseline)
    assert (told.family, told.against) == (3, baseline)
    assert {pair.second for pair in told.pairs} == {baseline}


def test_an_unknown_baseline_is_refused():
    with pytest.raises(BadRequest) as refusal:
        pairwise(frame(world(1, 5, 2)), "overall", baseline="nobody")
    assert refusal.value.param == "baseline"


def test_levels_of_a_factor_are_compared_over_the_others():
    grid = {"model": ["a", "b"], "temperature": [0, 0.5, 1]}
    values = world(1, 18, 6, effect=[0, 0, 0, 5, 5, 5])
    [pair] = pairwise(frame(values, grid), "overall", by="model").pairs
    means = values.mean(axis=2).reshape(18, 2, 3).mean(axis=2)
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.p == pytest.approx(stats.ttest_rel(means[:, 0], means[:, 1]).pvalue, rel=1e-9)


def test_of_very_many_pairs_those_with_the_leader_are_listed_and_all_are_corrected_for():
    told = pairwise(frame(world(1, 15, 30, 1)), "overall")
    assert told.family == 30 * 29 // 2
    assert len(told.pairs) == 29
    assert {pair.first for pair in told.pairs} == {told.against}
    assert all((pair.difference or 0) >= 0 for pair in told.pairs)
    assert all((pair.low or 0) <= (pair.difference or 0) <= (pair.high or 0) for pair in told.pairs)


def test_a_pair_uses_the_prompts_that_both_have():
    values = world(1, 18, 2)
    values[0, 0] = values[5, 1] = np.nan
    [pair] = pairwise(frame(values), "overall").pairs
    means = np.delete(values.mean(axis=2), [0, 5], axis=0)
    assert pair.prompts == 16
    assert pair.p == pytest.approx(stats.ttest_rel(means[:, 0], means[:, 1]).pvalue, rel=1e-9)


def test_exact_p_with_a_prompt_missing_counts_only_the_others_patterns():
    differences = np.array([[1.0, 1], [2, 2], [3, 3], [np.nan, 4]])
    assert comparisons.paired(differences).p.tolist() == [2 / 8, 2 / 16]


@pytest.mark.parametrize(
    ("values", "p"),
    [
        (np.ones((20, 2, 2)), 1.0),  # no difference at all
        (np.broadcast_to(np.array([[1.0], [0.0]]), (20, 2, 1)), 2.0**-19),  # the same one everywhere
        (np.broadcast_to(np.array([[1.0], [0.0]]), (1100, 2, 1)), 2.0**-1022),  # 2^-1099 is 0 to a float
    ],
)
def test_differences_without_any_spread_have_a_p_and_no_standardised_effect(values, p):
    [pair] = pairwise(frame(values), "overall").pairs
    assert (pair.p, pair.effect) == (p, None)
    assert "all equal" in (pair.reason or "")


def test_one_prompt_has_a_difference_and_no_p():
    [pair] = pairwise(frame(world(1, 1, 2, 5)), "overall").pairs
    assert pair.difference is not None
    assert (pair.p, pair.low, pair.significant) == (None, None, False)
    assert "two prompts" in (pair.reason or "")


@pytest.mark.parametrize("metric", ["overall", "cost"])
def test_one_configuration_has_no_pairs_and_says_why(metric):
    told = pairwise(frame(world(1, 5, 1)), metric)
    assert (told.pairs, told.family) == ((), 0)
    assert told.reason


def test_a_metric_nobody_has_gives_pairs_without_figures():
    [pair] = pairwise(frame(world(1, 5, 2)), "cost").pairs
    assert (pair.prompts, pair.difference, pair.p) == (0, None, None)


def test_hedges_g_and_its_interval_invert_the_noncentral_t():
    sample = np.random.default_rng(4).standard_normal((20, 1)) + 0.6
    found = effects_of(columns_of(sample))
    unbiased = _unbiased(19)
    d = sample.mean() / sample.std(ddof=1)
    assert found.g[0] == pytest.approx(unbiased * d, rel=1e-9)
    t = d * np.sqrt(20)
    assert stats.nct.cdf(t, 19, found.low[0] / unbiased * np.sqrt(20)) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, 19, found.high[0] / unbiased * np.sqrt(20)) == pytest.approx(0.025, abs=1e-6)


def test_huge_effects_still_have_finite_limits():
    found = effects_of(columns_of(np.array([[100.0], [100.1], [99.9], [100.05]])))
    assert np.isfinite([found.g, found.low, found.high]).all()
    assert found.low < found.g < found.high


def test_friedman_is_scipys():
    matrix = np.random.default_rng(5).integers(0, 6, (12, 5)).astype(float)
    told, expected = friedman_of(matrix), stats.friedmanchisquare(*matrix.T)
    assert told.chi_square == pytest.approx(expected.statistic, rel=1e-9)
    assert told.p_chi_square == pytest.approx(expected.pvalue, rel=1e-9)
    assert told.p == pytest.approx(expected.pvalue, abs=0.02)
    assert told.test == "Friedman test by permutation"


def test_friedman_of_very_many_values_is_iman_and_davenports_f():
    matrix = np.random.default_rng(5).standard_normal((90, 5))
    told = friedman_of(matrix)
    f = 89 * told.chi_square / (90 * 4 - told.chi_square)
    assert told.p == pytest.approx(stats.f.sf(f, 4, 89 * 4), rel=1e-9)


def test_friedmans_permutation_p_is_the_share_of_all_orders():
    ranks = np.array([[1, 2, 3], [1, 3, 2], [1, 2, 3], [2, 1, 3.0]])
    orders = [np.array(order) for order in permutations((1.0, 2, 3))]
    sums = [sum(chosen) for chosen in product(orders, repeat=4)]
    scatter = np.array([((one - 8) ** 2).sum() for one in sums])
    expected = (scatter >= ((ranks.sum(axis=0) - 8) ** 2).sum()).mean()
    assert friedman_of(ranks).p == pytest.approx(expected, abs=0.015)


def test_friedman_of_what_always_ranks_alike_is_sure():
    told = friedman(frame(np.arange(4.0).reshape(1, 4, 1) + np.arange(6.0).reshape(6, 1, 1)), "overall")
    assert told.agreement == pytest.approx(1)
    assert told.p <= 0.0002  # of 10,000 orders hardly another


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (world(1, 5, 2), "three configurations"),
        (world(1, 1, 4), "two prompts"),
        (np.ones((4, 4, 2)), "same value everywhere"),
    ],
)
def test_friedman_without_a_question_says_so(values, reason):
    told = friedman(frame(values), "overall")
    assert told.p is None
    assert reason in (told.reason or "")


def test_westfall_and_youngs_p_is_counted_over_all_sign_patterns():
    differences = np.random.default_rng(7).standard_normal((7, 4)) + np.array([0.0, 0.5, 1.0, 2.0])
    signs = 1 - 2 * (np.arange(128)[:, None] >> np.arange(7) & 1)
    t = np.abs([stats.ttest_1samp(sign[:, None] * differences, 0).statistic for sign in signs])
    order, expected, so_far = np.argsort(-t[0]), np.empty(4), 0.0
    for place, column in enumerate(order):
        so_far = max(so_far, (t[:, order[place:]].max(axis=1) >= t[0, column] - 1e-9).mean())
        expected[column] = so_far
    np.testing.assert_allclose(signflips.adjusted(differences), expected)


def test_few_prompts_and_several_pairs_leave_a_p_that_can_be_small():
    told = pairwise(frame(world(1, 8, 5, effect=[0, 0, 0, 0, 40])), "overall")
    assert (told.correction, told.family, told.findings) == ("westfall-young", 10, 4)
    assert min(pair.p_adjusted for pair in told.pairs) == 2.0**-7  # Holm would say 0.078, and find nothing


def test_the_pairs_are_the_same_however_many_are_in_memory_at_once(monkeypatch):
    values = world(1, 12, 8)
    values[0, 0] = values[3, 5] = np.nan
    whole = pairwise(frame(values), "overall")
    monkeypatch.setattr(comparisons, "VALUES", 5 * 12)
    assert pairwise(frame(values), "overall") == whole
    monkeypatch.setattr(comparisons, "PATTERNS", 10 * 2**11)  # too many for all pairs, not for five
    assert {pair.test for pair in pairwise(frame(values), "overall").pairs} == {"exact Wilcoxon signed-rank test"}


def test_too_many_pairs_are_those_with_the_leader_corrected_for_all_there_are(monkeypatch):
    found = frame(world(1, 16, 8, effect=[0, 0, 0, 6, 0, 0, 0, 0]))
    whole = pairwise(found, "overall", correction="none")
    monkeypatch.setattr(comparisons, "LISTED", 5)
    monkeypatch.setattr(comparisons, "TESTED", 27)  # of 28
    told = pairwise(found, "overall")
    assert (told.correction, told.family, told.against) == ("bonferroni", 7, found.configurations[3].id)
    assert {pair.first for pair in told.pairs} == {told.against}
    expected = sorted(pair.p for pair in whole.pairs if told.against in (pair.first, pair.second))
    assert sorted(pair.p_adjusted for pair in told.pairs) == pytest.approx([min(1, 28 * p) for p in expected])
    with pytest.raises(BadRequest) as refusal:
        pairwise(found, "overall", correction="holm")
    assert refusal.value.param == "correction"


def test_of_latency_the_leader_that_pairs_are_listed_with_is_the_fastest(monkeypatch):
    monkeypatch.setattr(comparisons, "LISTED", 2)
    found = frame(world(1, 15, 4, 1))
    assert pairwise(found, "latency_ms").against == found.configurations[0].id  # each row is 1 ms slower


def test_sign_patterns_in_parts_are_the_same(monkeypatch):
    differences = np.random.default_rng(9).standard_normal((8, 3)) + 0.5
    whole = signflips.adjusted(differences)
    monkeypatch.setattr(signflips, "CHUNK", 15)
    np.testing.assert_array_equal(signflips.adjusted(differences), whole)
    assert (whole >= 2.0**-7).all()


def test_a_correction_that_was_asked_for_is_the_one_that_is_used():
    told = pairwise(frame(world(1, 8, 4)), "overall", correction="holm")
    expected = corrections.adjusted(np.array([pair.p for pair in told.pairs]), corrections.HOLM)
    assert [pair.p_adjusted for pair in told.pairs] == expected.tolist()


def test_of_equals_few_prompts_find_a_difference_in_5_percent():
    random = np.random.default_rng(8)
    first, second = np.triu_indices(4, 1)
    means = random.standard_normal((300, 9, 4)) * np.exp(random.uniform(-0.7, 0.7, (300, 9, 1)))
    wrong = [(comparisons.family(each[:, first] - each[:, second]).p_adjusted <= 0.05).any() for each in means]
    assert np.mean(wrong) == pytest.approx(0.05, abs=0.03)


def test_midranks_are_scipys():
    matrix = np.random.default_rng(6).integers(0, 4, (9, 20)).astype(float)
    np.testing.assert_array_equal(midranks(matrix), stats.rankdata(matrix, axis=0))


def test_without_an_effect_5_percent_of_the_tests_say_there_is_one():
    values = np.stack([world(seed, 12, 2, 5).mean(axis=2) @ [1, -1] for seed in range(600)], axis=1)
    assert (comparisons.paired(values).p <= 0.05).mean() == pytest.approx(0.05, abs=0.025)


def test_holm_keeps_the_chance_of_any_false_finding():
    wrong = 0
    for seed in range(300):
        means = world(seed, 16, 4).mean(axis=2)
        first, second = np.triu_indices(4, 1)
        p = comparisons.paired(means[:, first] - means[:, second]).p
        wrong += bool((corrections.adjusted(p, corrections.HOLM) <= 0.05).any())
    assert wrong / 300 <= 0.08


def _unbiased(freedom: int) -> float:
    from math import exp, lgamma, log

    return exp(lgamma(freedom / 2) - log(freedom / 2) / 2 - lgamma((freedom - 1) / 2))
