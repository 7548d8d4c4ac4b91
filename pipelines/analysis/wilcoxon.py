"""The Wilcoxon signed-rank test (1945), exact given the ties: for so many pairs that all sign patterns of the
differences themselves would take seconds. It asks the same question of their ranks.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.ranks import midranks

Floats = NDArray[np.float64]


def p_values(differences: Floats) -> Floats:
    """Two-sided p for each column (rows: prompts, none NaN). Differences of 0 are left out, as Wilcoxon did."""
    # Differences that are equal but for rounding share a rank; of the values' own size nothing is known here.
    unit = 1e-9 * np.abs(differences).max(axis=0, initial=0.0)
    steps = np.round(differences / np.where(unit > 0, unit, 1.0))
    signs = np.sign(steps)
    sizes = np.where(signs == 0, np.nan, np.abs(steps))
    # Twice a midrank is a whole number: the sums of a tie pattern are counted, not approximated.
    doubled = np.nan_to_num(2 * midranks(sizes)).astype(np.int64)
    positive = np.where(signs > 0, doubled, 0).sum(axis=0)
    patterns, pattern = np.unique(np.sort(doubled, axis=0).T, axis=0, return_inverse=True)
    found = np.ones(differences.shape[1])
    for place, ranks in enumerate(patterns):
        columns = np.flatnonzero(pattern == place)
        found[columns] = _tails(tuple(int(rank) for rank in ranks if rank))[positive[columns]]
    return found


@lru_cache(maxsize=4096)
def _tails(ranks: tuple[int, ...]) -> Floats:
    """Two-sided p by the sum of the positive ranks: twice the smaller tail, at most 1."""
    ways = np.zeros(sum(ranks) + 1)
    ways[0] = 1
    for rank in ranks:
        ways[rank:] = ways[rank:] + ways[: len(ways) - rank]
    share = ways / ways.sum()
    lower, upper = np.cumsum(share), np.cumsum(share[::-1])[::-1]
    return np.asarray(np.minimum(1.0, 2 * np.minimum(lower, upper)))
