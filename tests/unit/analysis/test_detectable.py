import math

import pytest

from cluster.errors import BadRequest
from pipelines.analysis.detectable import _power, difference_sd, prompts_needed, smallest_effect


@pytest.mark.parametrize(
    ("prompts", "effect", "alpha", "power"),
    [  # statsmodels 0.15.0, TTestPower().power
        (16, 0.8, 0.05, 0.8484218102633433),
        (40, 0.5, 0.01, 0.6741679768806481),
        (20, 0.3, 0.05, 0.2470890899680956),
        (200, 0.2, 0.05, 0.8036666605857853),
    ],
)
def test_power_is_statsmodels(prompts, effect, alpha, power):
    assert _power(prompts, effect, alpha) == pytest.approx(power, rel=1e-9)


def test_the_smallest_effect_has_the_power_and_scales_with_the_spread():
    told = smallest_effect(40, 10)
    assert _power(40, told.standardised, 0.05) == pytest.approx(0.8, rel=1e-9)
    assert told.effect == pytest.approx(10 * told.standardised)
    assert told.reason is None


def test_more_comparisons_need_a_larger_effect():
    one, ten = smallest_effect(30, 10), smallest_effect(30, 10, comparisons=10)
    assert ten.effect > one.effect
    assert (ten.correction, ten.alpha) == ("holm", pytest.approx(0.005))
    assert smallest_effect(30, 10, comparisons=10, correction="none").effect == one.effect


@pytest.mark.parametrize(
    ("prompts", "sd", "reason"),
    [
        (1, 10, "no sample"),
        (0, 10, "no sample"),
        (5, 10, "no p can be below"),
        (20, math.nan, "not known"),
        (20, -1, "not known"),
    ],
)
def test_where_nothing_is_detectable_the_reason_is_given(prompts, sd, reason):
    told = smallest_effect(prompts, sd)
    assert told.effect is None
    assert reason in (told.reason or "")


def test_without_any_spread_every_difference_is_seen():
    assert smallest_effect(20, 0).effect == 0


def test_the_prompts_needed_are_the_fewest():
    needed = prompts_needed(2, 10)
    assert needed == 199
    assert _power(needed, 0.2, 0.05) >= 0.8 > _power(needed - 1, 0.2, 0.05)


def test_the_prompts_needed_are_never_too_few_for_an_exact_test():
    assert prompts_needed(1000, 1) == 6


@pytest.mark.parametrize(("effect", "sd"), [(0, 1), (-1, 1), (1, 0), (math.nan, 1), (1e-9, 1)])
def test_where_no_number_of_prompts_is_enough_it_is_none(effect, sd):
    assert prompts_needed(effect, sd) is None


def test_repeats_steady_a_difference_but_not_the_prompts_taste():
    assert difference_sd(interaction=4, repeats=9, per_cell=3) == pytest.approx(math.sqrt(14))
    assert difference_sd(interaction=4, repeats=9, per_cell=10**9) == pytest.approx(math.sqrt(8))


def test_what_is_no_power_is_refused():
    with pytest.raises(ValueError, match="power"):
        smallest_effect(10, 1, power=0.01)
    with pytest.raises(BadRequest):
        smallest_effect(10, 1, correction="luck")


def test_few_prompts_and_several_comparisons_are_told_as_they_will_be_corrected():
    told = smallest_effect(8, 10, comparisons=10)  # Holm would ask for a p of 0.005, and 8 prompts have none
    assert told.correction == "westfall-young"
    assert told.reason is None
    assert told.effect > smallest_effect(8, 10).effect
    assert "no p can be below" in (smallest_effect(8, 10, comparisons=10, correction="holm").reason or "")
    assert "no p can be below" in (smallest_effect(5, 10, comparisons=10).reason or "")
    assert "no p can be below" in (smallest_effect(8, 10, comparisons=21).reason or "")
