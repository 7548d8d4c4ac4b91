"""Whether a series rises or falls: the Mann-Kendall test and Sen's slope.

Mann 1945 and Kendall 1975 for the test, exact up to 50 points without ties and normal with the tie-corrected
variance and continuity correction otherwise; Sen 1968 for the median slope and its interval. One odd day moves
neither.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EXACT_TO = 50  # points; the counts of inversions stay exact in floats, and beyond the normal is as good

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """slope: median of all pairs' slopes, in y per x; low, high: 95 % interval, NaN where too few. p: two-sided."""

    slope: float
    low: float
    high: float
    p: float


def slope_of(x: Floats, y: Floats, level: float = 0.95) -> Slope:
    """The slope of two points or more. x: ascending, each value once. A series without any change has p = 1."""
    first, second = np.triu_indices(len(x), 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    score = float(np.sign(slopes).sum())
    _, ties = np.unique(y, return_counts=True)
    low, high = _limits(slopes, _variance(len(x), ties), level)
    return Slope(slope=float(np.median(slopes)), low=low, high=high, p=_p(len(x), score, ties))


def _variance(n: int, ties: NDArray[np.int64]) -> float:
    return float(n * (n - 1) * (2 * n + 5) - (ties * (ties - 1) * (2 * ties + 5)).sum()) / 18


def _limits(slopes: Floats, variance: float, level: float) -> tuple[float, float]:
    from scipy.special import ndtri

    off = float(ndtri((1 + level) / 2)) * np.sqrt(variance)
    low, high = round((len(slopes) - off) / 2) - 1, round((len(slopes) + off) / 2)
    if variance == 0:
        return float(slopes[0]), float(slopes[-1])
    if low < 0 or high >= len(slopes):
        return np.nan, np.nan
    return float(slopes[low]), float(slopes[high])


def _p(n: int, score: float, ties: NDArray[np.int64]) -> float:
    from scipy.special import ndtr

    if n <= EXACT_TO and (ties == 1).all():
        inversions = round((n * (n - 1) / 2 - abs(score)) / 2)
        return float(min(1.0, 2 * _below(n)[inversions])) if score else 1.0
    variance = _variance(n, ties)
    if variance == 0 or score == 0:
        return 1.0
    return float(2 * ndtr(-(abs(score) - 1) / np.sqrt(variance)))


@lru_cache(maxsize=EXACT_TO)
def _below(n: int) -> Floats:
    """P(at most k inversions) in a random order of n, for each k (Kendall 1975, §5.2)."""
    shares = np.ones(1)
    for size in range(2, n + 1):
        shares = np.convolve(shares, np.full(size, 1 / size))
    return np.cumsum(shares)
