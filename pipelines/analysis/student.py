"""Student's t over prompt means, column by column: intervals and the paired test, with every degenerate case.

Formulas: Student 1908. One value a prompt is one independent sample, whatever the repeats behind it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95  # of every interval
FLAT = 1e-12  # a spread below this share of the values' size is rounding, not spread

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Moments of each column of a matrix, NaN left out. sd is NaN under two values, error = sd / √n."""

    n: NDArray[np.int64]
    mean: Floats
    sd: Floats

    @property
    def error(self) -> Floats:
        """Standard error of each mean."""
        return np.asarray(self.sd / np.sqrt(np.maximum(self.n, 1)))


def columns_of(matrix: Floats) -> Columns:
    """The moments. A spread that is rounding alone counts as none."""
    here = np.isfinite(matrix)
    n = here.sum(axis=0)
    filled = np.where(here, matrix, 0.0)
    mean = np.full(matrix.shape[1], np.nan)
    np.divide(filled.sum(axis=0), n, out=mean, where=n > 0)
    squares = (np.where(here, matrix - mean, 0.0) ** 2).sum(axis=0)
    sd = np.full(matrix.shape[1], np.nan)
    np.divide(squares, n - 1, out=sd, where=n > 1)
    sd = np.sqrt(sd)
    size = np.abs(filled).max(axis=0, initial=0)
    return Columns(n=n, mean=mean, sd=np.where(sd <= FLAT * size, 0.0, sd))


def half_width(moments: Columns, level: float | Floats = LEVEL) -> Floats:
    """Half of the t interval of each column's mean; NaN under two values, 0 for a constant."""
    from scipy.special import stdtrit

    width = np.full(len(moments.n), np.nan)
    here = moments.n > 1
    quantile = np.broadcast_to((1 + np.asarray(level)) / 2, here.shape)[here]
    width[here] = stdtrit(moments.n[here] - 1, quantile) * moments.error[here]
    return width


def p_values(moments: Columns) -> Floats:
    """Two-sided p of each column's mean being 0 by t; NaN under two values.

    Without any spread t does not exist: a difference of 0 everywhere has p = 1, the same other difference in
    all n prompts p = 2^(1-n), which is the exact sign-flip test's.
    """
    from scipy.special import stdtr

    p = np.full(len(moments.n), np.nan)
    spread = (moments.n > 1) & (moments.sd > 0)
    t = moments.mean[spread] / moments.error[spread]
    p[spread] = 2 * stdtr(moments.n[spread] - 1, -np.abs(t))
    flat = (moments.n > 1) & (moments.sd == 0)
    p[flat] = np.where(moments.mean[flat] == 0, 1.0, least_p(moments.n[flat]))
    return p


def least_p(n: int | NDArray[np.int64]) -> Floats:
    """The exact sign-flip test's least p of n prompts; never 0, which 2^(1-n) is for a float from 1,076."""
    return np.asarray(np.maximum(2.0 ** (1.0 - n), np.finfo(np.float64).tiny))
