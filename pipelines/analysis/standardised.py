"""The paired effect in standard deviations of the prompts' differences, with an exact interval.

d = mean / sd of the differences (Cohen 1988, d_z); Hedges' g = J·d with J = Γ(ν/2) / (√(ν/2) Γ((ν-1)/2)), ν = n - 1
(Hedges 1981). The interval inverts the noncentral t distribution of d·√n (Steiger & Fouladi 1997; Goulet-Pelletier
& Cousineau 2018). 0.2 is called small, 0.5 medium, 0.8 large; on the metric's own scale the mean difference says
more.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.student import LEVEL, Columns

WIDEST = 37.0  # of t: beyond, the noncentral t is normal to all digits that double precision gives it

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standardised:
    """Hedges' g of each column and its limits; NaN where the differences have no spread."""

    g: Floats
    low: Floats
    high: Floats


def effects_of(moments: Columns, level: float = LEVEL) -> Standardised:
    """The effects of columns of differences."""
    g, low, high = (np.full(len(moments.n), np.nan) for _ in range(3))
    here = (moments.n > 1) & (moments.sd > 0)
    n, d = moments.n[here], moments.mean[here] / moments.sd[here]
    unbiased = _unbiased(n - 1)
    g[here] = unbiased * d
    low[here] = unbiased * _noncentrality(d, n, (1 + level) / 2) / np.sqrt(n)
    high[here] = unbiased * _noncentrality(d, n, (1 - level) / 2) / np.sqrt(n)
    return Standardised(g=g, low=low, high=high)


def _unbiased(freedom: NDArray[np.int64]) -> Floats:
    from scipy.special import gammaln

    half = freedom / 2
    with np.errstate(divide="ignore"):  # one degree of freedom: J = 0, the estimate says nothing
        return np.asarray(np.exp(gammaln(half) - np.log(half) / 2 - gammaln(half - 0.5)))


def _noncentrality(d: Floats, n: NDArray[np.int64], quantile: float) -> Floats:
    from scipy.special import nctdtrinc, ndtri

    t = d * np.sqrt(n)
    found = t - ndtri(quantile) * np.sqrt(1 + t**2 / (2 * (n - 1)))  # Hedges & Olkin 1985, eq. 5.14
    exact = np.abs(t) < WIDEST
    found[exact] = nctdtrinc(n[exact] - 1, quantile, t[exact])
    return np.asarray(found)
