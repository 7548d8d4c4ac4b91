"""Do the configurations differ at all: Friedman's rank test (1937), prompts as blocks.

Only prompts that every configuration answered count. Without a difference every order of a prompt's values is as
likely: p is the share of drawn orders (always the same draws) that differ as much; for more than 400 values Iman
and Davenport's F (1980). The chi-square's own p, timid for few prompts, is beside it, as in scipy.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.frame import Floats, Frame
from pipelines.analysis.ranks import midranks
from pipelines.analysis.resamples import SEED

NAME, DRAWN = "Friedman test", "Friedman test by permutation"
MOST_DRAWN = 400  # values; for more, F is as good
DRAWS = 9999  # a p of 0.05 has a Monte Carlo error of 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Friedman:
    """prompts, configurations: that entered. agreement: Kendall's W, 0 to 1. reason: why there is no p."""

    prompts: int
    configurations: int
    chi_square: float | None
    p_chi_square: float | None
    p: float | None
    agreement: float | None
    test: str
    reason: str | None


def friedman(frame: Frame, metric: str) -> Friedman:
    """The test over all configurations that have cells. Raises BadRequest for an unknown metric."""
    mean = frame.blocks(metric).mean
    mean = mean[:, np.isfinite(mean).any(axis=0)]
    return friedman_of(mean[np.isfinite(mean).all(axis=1)])


def friedman_of(matrix: Floats) -> Friedman:
    """The test of a matrix without gaps: prompts by treatments."""
    from scipy.special import chdtrc, fdtrc

    prompts, treatments = matrix.shape
    if treatments < 3 or prompts < 2:
        reason = (
            "it needs three configurations or more" if treatments < 3 else "it needs two prompts with every cell"
        )
        return _none(prompts, treatments, reason)
    ranks = midranks(matrix.T).T
    # With ties the ranks' own spread stands in for that of 1…k (Conover 1999, §5.8); without any spread: equal.
    spread = float((ranks**2).sum()) - prompts * treatments * (treatments + 1) ** 2 / 4
    if spread <= 0:
        return _none(prompts, treatments, "every prompt has the same value everywhere")
    sums = ranks.sum(axis=0)
    chi = (treatments - 1) * float(((sums - sums.mean()) ** 2).sum()) / spread
    most = prompts * (treatments - 1)
    drawn = prompts * treatments <= MOST_DRAWN
    f = (prompts - 1) * chi / (most - chi) if chi < most * (1 - 1e-12) else np.inf
    return Friedman(
        prompts=prompts,
        configurations=treatments,
        chi_square=chi,
        p_chi_square=float(chdtrc(treatments - 1, chi)),
        p=_drawn(ranks) if drawn else float(fdtrc(treatments - 1, (treatments - 1) * (prompts - 1), f)),
        agreement=chi / most,
        test=DRAWN if drawn else NAME,
        reason=None,
    )


def _drawn(ranks: Floats) -> float:
    """The share of orders within prompts, the one seen among them, whose sums of ranks scatter as much."""
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    seen = float((centred.sum(axis=0) ** 2).sum())
    # Without ties the draws are the same for all such ranks.
    untied = bool((np.sort(ranks, axis=1) == np.arange(1.0, ranks.shape[1] + 1)).all())
    drawn = _untied(*ranks.shape) if untied else _scatter(centred)
    return float((1 + (drawn >= seen * (1 - 1e-9)).sum()) / (DRAWS + 1))


@lru_cache(maxsize=16)
def _untied(prompts: int, treatments: int) -> Floats:
    return _scatter(np.tile(np.arange(treatments) - (treatments - 1) / 2, (prompts, 1)))


def _scatter(centred: Floats) -> Floats:
    """Of the sums of ranks, in each draw of orders."""
    orders = _orders(*centred.shape)
    sums = np.zeros((DRAWS, centred.shape[1]))
    for prompt, order in zip(centred, orders, strict=True):
        sums += prompt[order]
    return np.asarray((sums**2).sum(axis=1))


@lru_cache(maxsize=4)
def _orders(prompts: int, treatments: int) -> NDArray[np.int16]:
    """By prompt and draw an order of the treatments."""
    random = np.random.default_rng(SEED)
    plain = np.broadcast_to(np.arange(treatments, dtype=np.int16), (prompts, DRAWS, treatments))
    return random.permuted(plain, axis=2)


def _none(prompts: int, configurations: int, reason: str) -> Friedman:
    return Friedman(
        prompts=prompts,
        configurations=configurations,
        chi_square=None,
        p_chi_square=None,
        p=None,
        agreement=None,
        test=NAME,
        reason=reason,
    )
