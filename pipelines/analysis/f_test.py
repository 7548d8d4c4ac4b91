"""Whether contrasts vanish on average: the test behind each line of an analysis of variance, prompts as blocks.

An effect is a few contrasts, each with one value a prompt; F holds their mean against their scatter over prompts.
The levels' differences need not vary alike, nor the prompts. So:

- 7 to 14 prompts: the exact sign-flip test of F. Without an effect a prompt's contrasts are as likely with all
  signs turned, whatever their covariance (Winkler et al. 2014; Hemerik, Goeman & Finos 2020); no p is below
  2^(1-n).
- from 15: F with Box's degrees of freedom (1954), epsilon by the estimate of tr Σ² that is unbiased without
  normality (Himeno & Yamada 2014; Pauly, Ellenberger & Brunner 2015). Huynh and Feldt's is timid where prompts
  differ in spread: 2.4 to 4 % false positives where this errs in 4 to 5.5.
- under 7, where flips allow no small p: F with Huynh and Feldt's epsilon (1976), timid. Two prompts tell none: the
  least there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import signflips
from pipelines.analysis.student import LEVEL, least_p

F_TEST, FLIPPED = "F test, prompts as blocks", "exact sign-flip test of F, prompts as blocks"
FLIPS_FROM = 7  # prompts: 6 have 32 patterns, and nothing below 0.031
SURE = 1e6  # of F: beyond, only the error's own spread moves the limits; ncfdtr takes minutes where F is 1e18
LOW, HIGH = (1 - LEVEL) / 2, (1 + LEVEL) / 2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """An effect's contrasts: their estimate, and each prompt's own (row), whose spread is the error."""

    estimate: Floats
    by_prompt: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """An effect's test, and its sums of squares over prompt means. f: None where nothing scatters."""

    freedom: int
    error_freedom: int
    squares: float
    error_squares: float
    f: float | None
    epsilon: float | None
    p: float
    p_plain: float | None


def flipped(prompts: int) -> bool:
    """Whether effects over so many prompts are tested by sign flips."""
    return FLIPS_FROM <= prompts < signflips.EXACT_UNDER


def tested(scores: Scores, tiny: float) -> Tested:
    """The test. tiny: a sum of squares below is rounding.

    Without any error F does not exist: p is 1 without an effect, and else the exact sign-flip test's least.
    """
    from scipy.special import fdtrc

    prompts, freedom = scores.by_prompt.shape
    off = scores.by_prompt - scores.estimate
    squares, error = prompts * float((scores.estimate**2).sum()), float((off**2).sum())
    numbers = {
        "freedom": freedom,
        "error_freedom": freedom * (prompts - 1),
        "squares": squares,
        "error_squares": error,
    }
    if error <= tiny:
        least = 1.0 if squares <= tiny else float(least_p(prompts))
        return Tested(**numbers, f=None, epsilon=None, p=least, p_plain=None)
    f = squares * (prompts - 1) / error
    epsilon = _epsilon(off)
    p = float(fdtrc(freedom * epsilon, freedom * epsilon * (prompts - 1), f))
    if flipped(prompts):
        drawn = _squares(scores)
        p = float((drawn >= drawn[0] * (1 - 1e-9)).mean())
    return Tested(**numbers, f=f, epsilon=epsilon, p=p, p_plain=float(fdtrc(freedom, freedom * (prompts - 1), f)))


def together(scores: Sequence[Scores], tiny: float = 0.0) -> Floats:
    """p of each effect, adjusted among all by Westfall and Young (1993, algorithm 2.8): signs flip together.

    Only for as many prompts as are `flipped`. Effects of different freedom are made comparable by Wilson and
    Hilferty's cube root (1931), with an epsilon that no flip changes. tiny: as for `tested`.
    """
    return signflips.stepped_down([np.stack([_comparable(each, tiny) for each in scores])])


def limits(test: Tested) -> tuple[float, float] | None:
    """Of partial eta squared: the noncentralities of which F is the 97.5 % and the 2.5 % point (Steiger 2004)."""
    from scipy.special import chdtri, ncfdtr

    if test.f is None or test.epsilon is None:
        return None
    first, second = test.freedom * test.epsilon, test.error_freedom * test.epsilon
    if test.f > SURE:
        ends = (first * test.f * chdtri(second, quantile) / second for quantile in (HIGH, LOW))
        low, high = (end / (end + first + second + 1) for end in ends)
        return low, high
    found = []
    for quantile in (HIGH, LOW):
        low, high = 0.0, 4 * (first + second) * (1 + test.f)
        if ncfdtr(first, second, 0.0, test.f) > quantile:
            for _ in range(60):  # halvings: to the last digits of a float
                middle = (low + high) / 2
                low, high = (middle, high) if ncfdtr(first, second, middle, test.f) > quantile else (low, middle)
        else:
            high = 0.0
        found.append(high / (high + first + second + 1))
    return found[0], found[1]


def _epsilon(off: Floats) -> float:
    """How far the contrasts' covariance is from a sphere: 1 for one, 1 / freedom for a line.

    In shares of the trace: a fourth power may be no float.
    """
    prompts, freedom = off.shape
    shares = off / np.sqrt((off**2).sum() / (prompts - 1))
    sphere = float(((shares.T @ shares / (prompts - 1)) ** 2).sum())
    if prompts >= signflips.EXACT_UNDER:
        fourth = float(((shares**2).sum(axis=1) ** 2).sum()) / (prompts - 1)
        scale = (prompts - 1) / (prompts * (prompts - 2) * (prompts - 3))
        sphere = scale * ((prompts - 1) * (prompts - 2) * sphere + 1 - prompts * fourth)
        return float(min(1.0, max(1 / freedom, 1 / (freedom * max(sphere, 1e-12)))))
    plain = float(1 / (freedom * sphere))
    if prompts == 2:  # Huynh and Feldt's is 0 / 0; 1 found 17 % where levels differ tenfold and nothing is there
        return plain
    left = freedom * (prompts - 1 - freedom * plain)
    wider = (prompts * freedom * plain - 2) / left if left > 1e-9 else 1.0
    return float(max(plain, min(1.0, wider)))


def _squares(scores: Scores) -> Floats:
    """The squared sum of the contrasts under each pattern of signs, the first of which turns none."""
    sums = signflips.patterns(len(scores.by_prompt)) @ scores.by_prompt
    return np.asarray((sums**2).sum(axis=1))


def _comparable(scores: Scores, tiny: float) -> Floats:
    prompts = len(scores.by_prompt)
    whole = float((scores.by_prompt**2).sum())
    if whole <= 2 * tiny:  # rounding, which shows nothing and stands in no other's way
        return np.full(1 << (prompts - 1), -np.inf)
    squares = _squares(scores) / prompts
    # F rises with its share of all squares, which has no pole.
    f = squares * (prompts - 1) / np.maximum(whole - squares, 1e-9 * whole)
    moment = scores.by_prompt.T @ (scores.by_prompt / whole)
    first = 1 / float((moment**2).sum())
    second = first * (prompts - 1)
    root = np.cbrt(f)
    return np.asarray(
        (root * (1 - 2 / (9 * second)) - (1 - 2 / (9 * first)))
        / np.sqrt(2 / (9 * first) + root**2 * 2 / (9 * second))
    )
