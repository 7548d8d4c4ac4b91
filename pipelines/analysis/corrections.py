"""What a p-value is worth among many: Holm (1979) bounds the chance of any false finding, Benjamini-Hochberg
(1995) the share of false ones among the findings. Holm for a few questions, the other for a grid. Where sign
flips test a few questions, Westfall and Young (`signflips.adjusted`) bound the chance of any false finding, too,
and leave few prompts a p that can be small.
"""

import numpy as np
from numpy.typing import NDArray

from cluster.errors import BadRequest

FEW = 20  # comparisons; above, a bound on any error at all would hide what a grid is run for
HOLM, BH, NONE = "holm", "benjamini-hochberg", "none"
WESTFALL_YOUNG = "westfall-young"  # never asked for: it needs the data, not their p alone
BONFERRONI = "bonferroni"  # never asked for: where the pairs are too many to test them all
CORRECTIONS = ("auto", HOLM, BH, NONE)
NAMES = {
    HOLM: "Holm",
    BH: "Benjamini-Hochberg",
    NONE: "none",
    WESTFALL_YOUNG: "Westfall-Young",
    BONFERRONI: "Bonferroni",
}

Floats = NDArray[np.float64]


def chosen(correction: str, comparisons: int) -> str:
    """What "auto" means for so many comparisons. Raises BadRequest for an unknown correction."""
    if correction not in CORRECTIONS:
        raise BadRequest(
            f"There is no correction {correction!r}", hint=f"one of {', '.join(CORRECTIONS)}", param="correction"
        )
    if correction == "auto":
        return HOLM if comparisons <= FEW else BH
    return correction


def adjusted(p: Floats, correction: str) -> Floats:
    """The adjusted p-values; NaN stays NaN and counts as no test. correction: not "auto"."""
    found = np.full(len(p), np.nan)
    here = np.isfinite(p)
    tested, m = p[here], int(here.sum())
    if correction == NONE or not m:
        found[here] = tested
        return found
    order = np.argsort(tested, kind="stable")
    ranked = tested[order]
    if correction == HOLM:
        stepped = np.maximum.accumulate(ranked * np.arange(m, 0, -1))
    else:
        stepped = np.minimum.accumulate((ranked * m / np.arange(1, m + 1))[::-1])[::-1]
    back = np.empty(m)
    back[order] = np.minimum(stepped, 1.0)
    found[here] = back
    return found
