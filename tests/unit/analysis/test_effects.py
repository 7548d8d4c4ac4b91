import numpy as np
import pytest
from scipy import stats

from cluster.errors import BadRequest
from pipelines.analysis import corrections, f_test
from pipelines.analysis.contrasts import design_of
from pipelines.analysis.effects import EXACT, WITHIN, _within, anova
from pipelines.analysis.f_test import F_TEST, FLIPPED
from pipelines.analysis.frame import Blocks
from pipelines.analysis.variance import split, split_of
from tests.unit.analysis.sweeps import frame, world

GRID = {"model": ["a", "b"], "temperature": [0, 0.5, 1], "penalty": [1, 2]}


def by_name(table):
    return {effect.name: effect for effect in table.effects}


def test_f_and_p_are_statsmodels_repeated_measures_anova():
    theirs = {  # statsmodels 0.15.0, AnovaRM(…, within=[model, temperature, penalty]) of these means
        "model": (0.16209218320570012, 1, 6, 0.7011895290828818),
        "temperature": (0.5026220477881155, 2, 12, 0.6171296732593772),
        "penalty": (1.5612948828035926, 1, 6, 0.25800800645425903),
        "model × temperature": (0.010679238537117358, 2, 12, 0.989386973876866),
        "model × penalty": (14.309294886613177, 1, 6, 0.009150660567456045),
        "temperature × penalty": (0.5527702626615242, 2, 12, 0.5893290508035606),
    }
    ours = by_name(anova(frame(world(1, 7, 12, 3), GRID), "overall"))
    assert ours.keys() == theirs.keys()
    for name, (f, freedom, error_freedom, p) in theirs.items():
        assert ours[name].f == pytest.approx(f, rel=1e-9)
        assert ours[name].p_plain == pytest.approx(p, rel=1e-9)
        assert (ours[name].freedom, ours[name].error_freedom) == (freedom, error_freedom)


def test_the_sums_of_squares_split_the_whole_variation():
    values = world(2, 6, 6, 4)
    table = anova(frame(values, {"model": ["a", "b"], "temperature": [0, 0.5, 1]}), "overall")
    parts = sum(effect.squares + effect.error_squares for effect in table.effects)
    assert table.method == EXACT
    assert table.total_squares == pytest.approx(((values - values.mean()) ** 2).sum(), rel=1e-9)
    assert parts + table.prompt_squares + table.repeat_squares == pytest.approx(table.total_squares, rel=1e-9)


def test_eta_and_omega_squared_are_their_formulas():
    values = world(3, 8, 3, 2, effect=[0, 2, 4])
    table = anova(frame(values), "overall")
    [effect] = table.effects
    error = effect.error_squares / effect.error_freedom
    omega = (effect.squares - 2 * error) / (table.total_squares + table.prompt_squares / 7)
    assert effect.eta_squared == pytest.approx(effect.squares / table.total_squares)
    assert effect.omega_squared == pytest.approx(omega)
    assert effect.partial_low < effect.partial_eta_squared < effect.partial_high


def test_huynh_and_feldts_epsilon_is_1_for_two_levels_and_its_formula_for_more():
    values = world(4, 9, 4)
    values[:, 3] += 5 * np.random.default_rng(0).standard_normal((9, 1))  # this level varies more than the others
    two = anova(frame(values[:, :2]), "overall").effects[0]
    four = anova(frame(values), "overall").effects[0]
    covariance = np.cov(values.mean(axis=2).T)
    centre = np.eye(4) - 0.25
    double = centre @ covariance @ centre
    plain = np.trace(double) ** 2 / (3 * (double**2).sum())
    assert two.epsilon == pytest.approx(1)
    assert four.epsilon == pytest.approx((9 * 3 * plain - 2) / (3 * (8 - 3 * plain)))
    assert four.epsilon < 1


@pytest.mark.parametrize("prompts", [5, 16])
def test_under_7_prompts_and_from_15_a_factor_of_two_levels_is_the_paired_t_test(prompts):
    values = world(4, prompts, 2, effect=[0, 1])
    table = anova(frame(values), "overall")
    expected = stats.ttest_rel(*values.mean(axis=2).T)
    assert table.test == F_TEST
    assert table.effects[0].p == pytest.approx(expected.pvalue, rel=1e-9)


def test_7_to_14_prompts_are_tested_by_turning_their_signs():
    values = world(4, 9, 3, effect=[0, 1, 3])
    table = anova(frame(values), "overall")
    means = values.mean(axis=2)
    means = means - means.mean(axis=1, keepdims=True)
    signs = 1 - 2 * (np.arange(512)[:, None] >> np.arange(9) & 1)
    squares = ((signs @ means) ** 2).sum(axis=1)
    assert table.test == FLIPPED
    assert table.effects[0].p == pytest.approx((squares >= squares[0] * (1 - 1e-9)).mean(), rel=1e-12)
    assert table.effects[0].p_adjusted == table.effects[0].p


def test_from_15_prompts_epsilon_is_himeno_and_yamadas():
    values = world(4, 16, 4, 1)[:, :, 0]
    [effect] = anova(frame(values[:, :, None]), "overall").effects
    n, off = 16, values - values.mean(axis=1, keepdims=True)
    off = off - off.mean(axis=0)
    spread = off.T @ off / (n - 1)
    trace, square = np.trace(spread), (spread**2).sum()
    fourth = ((off**2).sum(axis=1) ** 2).sum() / (n - 1)
    unbiased = (n - 1) / (n * (n - 2) * (n - 3)) * ((n - 1) * (n - 2) * square + trace**2 - n * fourth)
    assert effect.epsilon == pytest.approx(min(1, trace**2 / (3 * unbiased)))
    assert effect.p == pytest.approx(stats.f.sf(effect.f, 3 * effect.epsilon, 45 * effect.epsilon))


def test_many_effects_of_few_prompts_leave_a_p_that_can_be_small():
    values = world(5, 8, 12, effect=[0.0] * 6 + [20.0] * 6)
    table = anova(frame(values, GRID), "overall")
    assert table.correction == corrections.WESTFALL_YOUNG
    assert by_name(table)["model"].p_adjusted == 2.0**-7  # Holm would say 6 times as much
    assert by_name(table)["model"].significant


def test_prompts_that_differ_in_spread_make_no_timid_test_of_an_interaction():
    random = np.random.default_rng(6)
    for prompts in (8, 20):
        spread = np.exp(random.uniform(-0.7, 0.7, (600, prompts, 1)))
        drawn = spread * random.standard_normal((600, prompts, 6))
        p = [f_test.tested(f_test.Scores(estimate=x.mean(axis=0), by_prompt=x), 0.0).p for x in drawn]
        assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.025)


def test_where_nothing_is_missing_the_test_within_prompts_is_the_exact_one():
    found = frame(world(5, 6, 12), GRID)
    design = design_of(found)
    assert design is not None
    exact, within = (
        by_name(table)
        for table in (anova(found, "overall"), _within(design, found.blocks("overall"), np.ones(6, bool), 0.05))
    )
    for name, effect in exact.items():
        assert within[name].f == pytest.approx(effect.f, rel=1e-9)
        assert within[name].p_plain == pytest.approx(effect.p_plain, rel=1e-9)


def test_with_failed_cells_f_and_p_stand_and_shares_do_not():
    values = world(6, 20, 12, effect=[0.0] * 6 + [4.0] * 6)
    values[np.random.default_rng(0).random((20, 12)) < 0.15] = np.nan
    table = anova(frame(values, GRID), "overall")
    assert (table.method, table.total_squares) == (WITHIN, None)
    assert "missing" in (table.reason or "")
    assert by_name(table)["model"].significant
    assert by_name(table)["model"].eta_squared is None


def test_unequal_repeats_are_no_missing_cells():
    values = world(8, 6, 3, 4)
    values[2, 1, 0] = np.nan
    table = anova(frame(values), "overall")
    assert table.method == EXACT


def test_a_whole_configuration_that_failed_costs_the_interaction_not_the_main_effects():
    values = world(9, 12, 6)
    values[:, 0] = np.nan
    table = anova(frame(values, {"model": ["a", "b"], "temperature": [0, 0.5, 1]}), "overall")
    assert {effect.factors for effect in table.effects} == {("model",), ("temperature",)}


def test_the_interaction_that_is_there_is_found():
    values = world(10, 20, 4, effect=[0, 0, 0, 8])
    table = by_name(anova(frame(values, {"model": ["a", "b"], "temperature": [0, 1]}), "overall"))
    assert table["model × temperature"].significant


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (world(1, 1, 3), "two prompts"),
        (world(1, 5, 1), "no parameter"),
        (np.full((5, 3, 2), 0.3), "same everywhere"),
        (np.full((5, 3, 2), np.nan), "no cell"),
    ],
)
def test_where_there_is_nothing_to_test_the_reason_is_given(values, reason):
    found = frame(values)
    table = anova(found, "overall" if found.metrics else "cost")
    assert table.effects == ()
    assert reason in (table.reason or "")


def test_a_sample_of_settings_is_no_grid_and_is_refused_where_effects_cannot_be_told_apart():
    found = frame(world(1, 6, 3))
    for place, configuration in enumerate(found.configurations):
        configuration.parameters["penalty"] = place
    object.__setattr__(found, "factors", ("temperature", "penalty"))
    table = anova(found, "overall")
    assert table.effects == ()
    assert "apart" in (table.reason or "")


def test_the_same_effect_in_every_prompt_is_significant_without_an_f():
    values = np.zeros((8, 2, 2)) + np.arange(8.0).reshape(8, 1, 1)
    values[:, 1] += 5
    [effect] = anova(frame(values), "overall").effects
    assert (effect.f, effect.p, effect.significant) == (None, 2.0**-7, True)


def test_rounding_is_no_effect():
    values = np.zeros((8, 4, 2)) + 10 * np.arange(8.0).reshape(8, 1, 1)
    values += 1e-14 * np.random.default_rng(0).standard_normal(values.shape)
    table = anova(frame(values, {"model": ["a", "b"], "temperature": [0, 1]}), "overall")
    assert [effect.p for effect in table.effects] == [1.0, 1.0, 1.0]


def test_an_unknown_metric_is_refused():
    with pytest.raises(BadRequest):
        anova(frame(world(1, 5, 3)), "charm")


def test_a_prompts_own_taste_in_a_parameter_is_no_effect_of_the_parameter():
    found = frame(world(1, 10, 6, 1), {"model": ["a", "b", "c"], "temperature": [0, 1]})
    random, wrong = np.random.default_rng(2), 0
    for _ in range(80):
        found.kept.clear()
        means = found.blocks("overall").mean
        means[:] = random.standard_normal((10, 6)) + np.repeat(3 * random.standard_normal((10, 3)), 2, axis=1)
        wrong += by_name(anova(found, "overall"))["model"].p <= 0.05
    assert wrong / 80 <= 0.11  # tested against the pooled error it is 40 %


def test_the_split_of_balanced_runs_is_the_classical_analysis_of_variance():
    values = world(11, 9, 5, 4, effect=[0, 1, 2, 3, 4])
    told = split(frame(values), "overall")
    means, grand = values.mean(axis=2), values.mean()
    rows, columns = means.mean(axis=1), means.mean(axis=0)
    square_rows = 20 * ((rows - grand) ** 2).sum() / 8
    square_columns = 36 * ((columns - grand) ** 2).sum() / 4
    square_cells = 4 * ((means - rows[:, None] - columns + grand) ** 2).sum() / 32
    square_error = ((values - means[:, :, None]) ** 2).sum() / (45 * 3)
    assert told.repeats == pytest.approx(square_error, rel=1e-9)
    assert told.interaction == pytest.approx((square_cells - square_error) / 4, rel=1e-9)
    assert told.prompts == pytest.approx((square_rows - square_cells) / 20, rel=1e-9)
    assert told.configurations == pytest.approx((square_columns - square_cells) / 36, rel=1e-9)
    shares = (told.prompts_share, told.configurations_share, told.interaction_share, told.repeats_share)
    assert sum(shares) == pytest.approx(1)
    assert told.difference_sd == pytest.approx(np.sqrt(2 * (told.interaction + told.repeats)))


def test_the_split_finds_the_components_with_cells_missing():
    found = []
    for seed in range(60):
        values = world(seed, 20, 10, 4)
        values[np.random.default_rng(seed).random(values.shape) < 0.4] = np.nan
        count = np.isfinite(values).sum(axis=2)
        mean = np.where(count > 0, np.nansum(values, axis=2) / np.maximum(count, 1), np.nan)
        within = np.nansum((values - mean[:, :, None]) ** 2, axis=2)
        told = split_of(Blocks(mean=mean, count=count, within=within))
        found.append((told.prompts, told.interaction, told.repeats))
    np.testing.assert_allclose(np.mean(found, axis=0), [64, 4, 9], rtol=0.15)


def test_with_one_repeat_the_interaction_holds_the_repeats_too():
    told = split(frame(world(1, 30, 20, 1)), "overall")
    assert told.interaction == pytest.approx(13, rel=0.15)
    assert (told.repeats, told.repeats_share) == (None, None)
    assert "one repeat" in (told.reason or "")


def test_a_negative_component_is_zero_and_named():
    random = np.random.default_rng(3)
    told = split(frame(random.standard_normal((6, 4, 2))), "overall")
    assert all(getattr(told, name) == 0 for name in told.clipped)
    assert told.clipped


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (world(1, 1, 4), "two prompts"),
        (world(1, 4, 1), "two prompts and two configurations"),
        (np.full((4, 3, 2), 0.3), "same everywhere"),
    ],
)
def test_a_split_without_a_question_says_so(values, reason):
    told = split(frame(values), "overall")
    assert reason in (told.reason or "")
    assert told.prompts_share is None


def test_a_split_of_what_was_never_measured_is_none():
    assert split(frame(world(1, 4, 3)), "cost").prompts is None


@pytest.mark.parametrize("scale", [1e-90, 1e90])
def test_the_scale_of_a_metric_changes_no_test(scale):
    values = world(3, 8, 4)
    plain, scaled = (anova(frame(factor * values), "overall").effects[0] for factor in (1.0, scale))
    assert scaled.p == pytest.approx(plain.p)
    assert scaled.epsilon == pytest.approx(plain.epsilon)


def test_limits_of_an_f_beyond_measure_are_there_at_once_and_go_on_from_the_exact_ones():
    def limits_at(f: float) -> tuple[float, float]:
        figures = {"freedom": 2, "error_freedom": 18, "squares": 1.0, "error_squares": 1.0, "epsilon": 0.8}
        found = f_test.limits(f_test.Tested(**figures, f=f, p=0.1, p_plain=0.1))
        assert found is not None
        return found

    exact, beyond = (np.subtract(1, limits_at(f_test.SURE * by)) for by in (1.0, 1.0 + 1e-9))
    np.testing.assert_allclose(beyond, exact, rtol=0.01)
    low, high = limits_at(1e18)  # scipy's noncentral F took minutes
    assert 0.999 < low <= high <= 1


def test_two_prompts_tell_no_epsilon_so_it_is_the_least_there_is():
    [effect] = anova(frame(world(3, 2, 4)), "overall").effects
    assert effect.epsilon == pytest.approx(1 / 3)
    assert effect.p == pytest.approx(stats.f.sf(effect.f, 1, 1))


def test_an_effect_that_is_rounding_stands_in_no_others_way():
    by_prompt = 1 + np.random.default_rng(1).standard_normal((8, 1))
    real = f_test.Scores(estimate=by_prompt.mean(axis=0), by_prompt=by_prompt)
    noise = 1e-15 * (3 + by_prompt[::-1])
    rounding = f_test.Scores(estimate=noise.mean(axis=0), by_prompt=noise)
    alone, beside = f_test.together([real], 1e-20), f_test.together([real, rounding], 1e-20)
    assert (beside[0], beside[1]) == (alone[0], 1)


def test_with_failed_cells_f_is_least_squares_with_a_dummy_a_prompt_and_errors_by_prompt():
    values = world(6, 20, 4, 1)
    values[np.random.default_rng(0).random((20, 4)) < 0.2] = np.nan
    [effect] = anova(frame(values), "overall").effects
    prompt, column = np.nonzero(np.isfinite(values[:, :, 0]))
    dummies, told = np.eye(20)[prompt], values[prompt, column, 0]
    design = design_of(frame(values))
    assert design is not None
    inputs = design.contrasts[0][column]
    inputs = inputs - dummies @ np.linalg.lstsq(dummies, inputs, rcond=None)[0]
    bread = np.linalg.inv(inputs.T @ inputs)
    estimate = bread @ inputs.T @ told
    left = told - dummies @ np.linalg.lstsq(dummies, told, rcond=None)[0] - inputs @ estimate
    influence = 20 * dummies.T @ (inputs * left[:, None]) @ bread
    assert effect.f == pytest.approx(20 * 19 * (estimate**2).sum() / (influence**2).sum(), rel=1e-9)
