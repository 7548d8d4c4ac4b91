"""The paired permutation test, exact: every way of swapping the two treatments within a prompt.

Under the null hypothesis a prompt's difference is as likely with the other sign, so all 2^n sign patterns are
equally likely (Fisher 1935, §21; Good 2005, §3.2). No spread has to be normal. Its smallest p is 2^(1-n): with
5 prompts nothing can be below 0.0625.
"""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

EXACT_UNDER = 15  # prompts: 2^14 patterns are cheap; above, t is as good as exact (Miller 2024)
CHUNK = 1 << 20  # values of sums in memory at once, each a few times: 8 MB

Floats = NDArray[np.float64]


def p_values(differences: Floats) -> Floats:
    """Two-sided p for each column of differences (rows: prompts; NaN left out); NaN for a column without any.

    Raises ValueError for EXACT_UNDER prompts or more.
    """
    if len(differences) >= EXACT_UNDER:
        raise ValueError(f"{len(differences)} prompts have too many sign patterns")
    n = np.isfinite(differences).sum(axis=0)
    # A missing difference is a 0: its sign changes no sum, and each pattern of the others counts equally often.
    filled = np.nan_to_num(differences)
    observed = np.abs(filled.sum(axis=0))
    # Sums that are equal but for rounding count as equal.
    bound = observed - 1e-9 * np.abs(filled).sum(axis=0)
    signs = patterns(len(differences))
    hits = np.zeros(filled.shape[1])
    step = max(1, CHUNK // len(signs))
    for start in range(0, filled.shape[1], step):
        part = slice(start, start + step)
        hits[part] = (np.abs(signs @ filled[:, part]) >= bound[part]).sum(axis=0)
    return np.asarray(np.where(n > 0, hits / len(signs), np.nan))


def adjusted(differences: Floats) -> Floats:
    """Two-sided p of each column, adjusted among all by Westfall and Young (1993, algorithm 2.8).

    All differences of a prompt are turned together, so that what they share counts once, and the least p stays
    2^(1-n) however many columns there are. Holds for any set of columns that differ not, whatever the others do.
    Raises ValueError as `p_values`.
    """
    if len(differences) >= EXACT_UNDER:
        raise ValueError(f"{len(differences)} prompts have too many sign patterns")
    here = np.isfinite(differences)
    n, filled = here.sum(axis=0), np.where(here, differences, 0.0)
    signs = patterns(len(differences))
    step = max(1, CHUNK // max(filled.shape[1], 1))
    parts = (_t(signs[start : start + step], filled, n) for start in range(0, len(signs), step))
    return np.asarray(np.where(n > 1, stepped_down(parts), np.nan))


def _t(signs: Floats, filled: Floats, n: NDArray[np.int64]) -> Floats:
    """|t| of each column (row) under each pattern of signs (column)."""
    size = n * (filled**2).sum(axis=0)
    sums = signs @ filled
    # t² without its pole: the share of all squares that the mean has, which t² rises with.
    share = np.divide(sums**2, size, out=np.zeros(sums.shape), where=size > 0)
    share = np.clip(share, 0.0, 1 - 1e-9)
    return np.asarray(np.sqrt(share / (1 - share) * np.maximum(n - 1, 0)).T)


def stepped_down(parts: Iterable[Floats]) -> Floats:
    """p of each row (a hypothesis) by its statistic under each pattern of signs (columns, in parts).

    The first column of the first part is what was seen: no sign is turned, so no p is 0.
    """
    order, bound, hits = np.empty(0, np.int64), np.empty(0), np.empty(0)
    count = 0
    for part in parts:
        if not count:
            order = np.argsort(-part[:, 0], kind="stable")
            bound = part[order, 0] - 1e-9 * np.abs(part[order, 0])
            hits = np.zeros(len(order))
        # The largest of a hypothesis and all that have less to show, pattern by pattern.
        rivals = np.maximum.accumulate(part[order][::-1], axis=0)[::-1]
        hits += (rivals >= bound[:, None]).sum(axis=1)
        count += part.shape[1]
    found = np.empty(len(order))
    found[order] = np.maximum.accumulate(hits / count)
    return found


@lru_cache(maxsize=EXACT_UNDER)
def patterns(n: int) -> Floats:
    """Half of the sign patterns: the other half are their negatives, whose sums are as far from 0. Read-only."""
    bits = np.arange(1 << max(n - 1, 0))[:, None] >> np.arange(n) & 1
    found = np.asarray(1.0 - 2.0 * bits, np.float64)
    found.setflags(write=False)
    return found
