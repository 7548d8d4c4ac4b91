"""What a plan can show: the smallest difference it would find, told before money is spent.

Power of the two-sided paired t test by the noncentral t distribution (Cohen 1988, ch. 2; statsmodels' TTestPower).
Prompts are the sample; repeats only make a prompt's difference steadier. Of several comparisons the hardest is
told: Holm's first step, and Benjamini-Hochberg's where one difference is real, ask for alpha / comparisons. Under
15 prompts up to 20 comparisons are corrected by Westfall and Young instead (`comparisons`), whose least p is that
of one comparison; the power is told as for Holm.
"""

import math
from dataclasses import dataclass

from pipelines.analysis import corrections
from pipelines.analysis.signflips import EXACT_UNDER

POWER, ALPHA = 0.8, 0.05
MOST_PROMPTS = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Detectable:
    """effect: mean difference in the units of `sd`; standardised: in SDs of the prompts' differences (d).

    alpha: what one comparison is tested at. reason: why nothing is detectable.
    """

    effect: float | None
    standardised: float | None
    prompts: int
    comparisons: int
    correction: str
    alpha: float
    power: float
    reason: str | None


def smallest_effect(
    n_prompts: int,
    sd: float,
    *,
    comparisons: int = 1,
    correction: str = "auto",
    power: float = POWER,
    alpha: float = ALPHA,
) -> Detectable:
    """The smallest true difference that a comparison finds with the power. sd: of a prompt's difference.

    `difference_sd` makes it from components, `variance.split` from a run. Raises BadRequest for an unknown
    correction, ValueError for a power or alpha outside (alpha, 1) and (0, 1), or comparisons under 1.
    """
    if not 0 < alpha < power < 1 or comparisons < 1:
        raise ValueError(f"no power is defined for alpha {alpha}, power {power}, {comparisons} comparisons")
    rule = corrections.chosen(correction, comparisons)
    one = alpha if rule == corrections.NONE else alpha / comparisons
    if correction == "auto" and rule == corrections.HOLM and comparisons > 1 and n_prompts < EXACT_UNDER:
        rule = corrections.WESTFALL_YOUNG
    reason = _reason(n_prompts, sd, alpha if rule == corrections.WESTFALL_YOUNG else one)
    standardised = None if reason else _standardised(n_prompts, one, power)
    return Detectable(
        effect=None if standardised is None else standardised * sd,
        standardised=standardised,
        prompts=n_prompts,
        comparisons=comparisons,
        correction=rule,
        alpha=one,
        power=power,
        reason=reason,
    )


def prompts_needed(effect: float, sd: float, *, alpha: float = ALPHA, power: float = POWER) -> int | None:
    """The fewest prompts that find a true difference; None where a million would not, or none is defined."""
    if not (effect > 0 and sd > 0 and math.isfinite(effect) and math.isfinite(sd)):
        return None
    low, high = 1, 2
    while not _enough(high, effect / sd, alpha, power):
        low, high = high, high * 2
        if high > MOST_PROMPTS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _enough(middle, effect / sd, alpha, power) else (middle, high)
    return high


def difference_sd(*, interaction: float, repeats: float, per_cell: int) -> float:
    """SD of a prompt's difference of two configurations, from variance components and the repeats of a cell."""
    return math.sqrt(2 * (interaction + repeats / per_cell))


def _enough(prompts: int, standardised: float, alpha: float, power: float) -> bool:
    return _reason(prompts, 1.0, alpha) is None and _power(prompts, standardised, alpha) >= power


def _reason(prompts: int, sd: float, alpha: float) -> str | None:
    if prompts < 2:
        return "one prompt is no sample: nothing is detectable"
    if not (sd >= 0 and math.isfinite(sd)):
        return "the spread of the differences is not known"
    least = 2.0 ** (1 - prompts)
    if prompts < EXACT_UNDER and least > alpha:
        return f"with {prompts} prompts no p can be below {least:.2g}, and {alpha:.2g} is asked for"
    return None


def _power(prompts: int, standardised: float, alpha: float) -> float:
    from scipy.special import nctdtr, stdtrit

    freedom = prompts - 1
    bound = stdtrit(freedom, 1 - alpha / 2)
    shift = standardised * math.sqrt(prompts)
    return float(1 - nctdtr(freedom, shift, bound) + nctdtr(freedom, shift, -bound))


def _standardised(prompts: int, alpha: float, power: float) -> float | None:
    low, high = 0.0, 1.0
    while _power(prompts, high, alpha) < power:
        low, high = high, high * 2
        if high > 1e9:
            return None
    for _ in range(200):
        middle = (low + high) / 2
        if high - low <= 1e-12 * high:
            break
        low, high = (low, middle) if _power(prompts, middle, alpha) >= power else (middle, high)
    return high
