"""The interval of a mean over prompts, also where the prompts' values are skewed or sit at a bound.

Student's t covers 88 to 92 % of means of exponential values (5 to 20 prompts) and 40 % where nine prompts of ten
have the full score. So t is corrected for skewness by Hall's monotone transformation (1992, JRSS B 54, 221-228),
which changes nothing where the values are symmetric. Under 15 prompts, whose skewness is mostly luck, neither limit
is nearer than t's; under five no skewness can be estimated, and it is t.

Where so many values are one and the same that no spread is known (most of them, and a draw of as many prompts has
none with a chance of 2.5 % or more), no such method holds. Of values within bounds Gaffke's limits do (2005;
Learned-Miller & Thomas 2020): they give the bound itself a share of the weight that one unseen prompt could have.
For values at two bounds they are Clopper and Pearson's (1934); for n full scores of n the lower limit is
100 · 0.025^(1/n). They are wide, truthfully.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis import student
from pipelines.analysis.resamples import SEED
from pipelines.analysis.rounding import settled
from pipelines.analysis.student import LEVEL

HALL_FROM = 5  # values
SURE_FROM = 15  # values; of 5 to 10 exponential ones Hall's limits alone cover 92.3 to 93.6 %, with t's 94 to 95
DRAWS = 4000  # of Dirichlet weights; a limit's Monte Carlo error is then under 0.3 percentage points of level
NO_SPREAD_KNOWN = (
    "most prompts have one and the same value, which tells no spread: the interval is by the bounds of a score"
)

Floats = NDArray[np.float64]
Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of each column's mean; NaN under two values. flat: where the bounds had to tell them."""

    low: Floats
    high: Floats
    flat: NDArray[np.bool_]


def limits_of(
    matrix: Floats, *, moments: student.Columns | None = None, level: float = LEVEL, bounds: Bounds | None = None
) -> Limits:
    """The limits of each column (rows: prompts, NaN left out). bounds: that no value can leave; limits do not, too.

    A constant without bounds has its own value for limits: nothing tells more.
    """
    moments = student.columns_of(matrix) if moments is None else moments
    low, high = _hall(matrix, moments, level)
    flat = np.zeros(len(low), bool)
    if bounds is not None:
        matrix = settled(matrix)  # values that differ by rounding alone are one and the same
        flat = _flat(matrix, moments, level)
        for place in np.flatnonzero(flat):
            values = matrix[np.isfinite(matrix[:, place]), place]
            # Without a spread values differ by rounding alone.
            values = values if moments.sd[place] else np.full(len(values), moments.mean[place])
            low[place], high[place] = _gaffke(values, bounds, level)
        low, high = np.clip(low, *bounds), np.clip(high, *bounds)
    return Limits(low=low, high=high, flat=flat)


def _hall(matrix: Floats, moments: student.Columns, level: float) -> tuple[Floats, Floats]:
    from scipy.special import stdtrit

    n, skewness = moments.n, _skewness(matrix, moments)
    quantile = np.full(len(n), np.nan)
    quantile[n > 1] = stdtrit(n[n > 1] - 1, (1 + level) / 2)
    root = np.sqrt(np.maximum(n, 1))
    curve = skewness / (3 * root)
    straight = np.abs(curve) < 1e-8
    found = []
    for way in (1.0, -1.0):
        t = way * quantile - skewness / (6 * root)
        bent = (np.cbrt(1 + 3 * curve * t) - 1) / np.where(straight, 1.0, curve)
        bent = np.where(straight, way * quantile, bent)
        few = n < SURE_FROM
        furthest = np.where(few, way * np.maximum(way * bent, quantile), bent)
        found.append(moments.mean - furthest * moments.error)
    return found[0], found[1]


def _skewness(matrix: Floats, moments: student.Columns) -> Floats:
    """The adjusted Fisher-Pearson coefficient; 0 where there are too few values, or no spread."""
    n = moments.n
    told = (n >= HALL_FROM) & (moments.sd > 0)
    scaled = (matrix - moments.mean) / np.where(told, moments.sd, 1.0)
    third = np.where(np.isfinite(scaled), scaled, 0.0) ** 3
    return np.where(told, n / np.maximum((n - 1.0) * (n - 2.0), 1.0) * third.sum(axis=0), 0.0)


def _flat(matrix: Floats, moments: student.Columns, level: float) -> NDArray[np.bool_]:
    ordered = np.sort(matrix, axis=0)
    same = np.zeros(matrix.shape[1])
    run = np.ones(matrix.shape[1])
    for row in range(1, len(matrix)):
        run = np.where(ordered[row] == ordered[row - 1], run + 1, 1.0)
        same = np.maximum(same, run)
    share = same / np.maximum(moments.n, 1)
    alike = (share > 0.5) & (share ** np.maximum(moments.n, 1) > (1 - level) / 2)
    return np.asarray((moments.n > 1) & (alike | (moments.sd == 0)))


def _gaffke(values: Floats, bounds: Bounds, level: float) -> Bounds:
    different, counts = np.unique(values, return_counts=True)
    # The most common value first, so that values that are mirrored have the same draws, mirrored.
    most = different[counts.argmax()]
    order = np.lexsort((np.abs(different - most), -counts))
    weights = _weights(tuple(counts[order].tolist()))
    rest = weights[:, 1:] @ different[order]
    low = np.quantile(rest + weights[:, 0] * bounds[0], (1 - level) / 2)
    high = np.quantile(rest + weights[:, 0] * bounds[1], (1 + level) / 2)
    return float(low), float(high)


@lru_cache(maxsize=64)
def _weights(counts: tuple[int, ...]) -> Floats:
    """Draws of the weights of a bound (the first column) and of values that are there so often. Read-only.

    Equal values share one weight, and where a column is flat at most three are another: a weight for each of 1,000
    prompts took 32 MB and 0.1 s for every number of prompts.
    """
    found = np.random.default_rng(SEED).dirichlet((1, *counts), size=DRAWS)
    found.setflags(write=False)
    return found
