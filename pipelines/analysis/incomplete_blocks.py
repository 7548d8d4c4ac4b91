"""Treatments' means over the same prompts where cells are missing: the intra-block analysis of incomplete blocks.

A configuration that failed on the hard prompts has the easy ones' mean: against one that answered all of them it
would lead for its failures. Least squares of prompt plus configuration (Yates 1936; Cochran & Cox 1957, §9.3)
compares within prompts alone; where nothing is missing it gives the plain means.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def filled(matrix: Floats) -> Floats:
    """The matrix (prompts by treatments) with each gap as prompt plus treatment. Prompts without any value are left
    out; a column without any stays NaN.
    """
    here = np.isfinite(matrix)
    columns, rows = here.any(axis=0), here.any(axis=1)
    part, there = matrix[np.ix_(rows, columns)], here[np.ix_(rows, columns)]
    found = np.full(matrix.shape, np.nan)
    if there.all():
        found[np.ix_(rows, columns)] = part
        return found[rows]
    known = np.where(there, part, 0.0)
    weight, size = there.astype(np.float64), there.sum(axis=1)
    level = known.sum(axis=1) / size
    gram = np.diag(weight.sum(axis=0)) - (weight / size[:, None]).T @ weight
    effects = np.linalg.lstsq(gram, (known - weight * level[:, None]).sum(axis=0), rcond=None)[0]
    prompts = level - (weight @ effects) / size
    found[np.ix_(rows, columns)] = np.where(there, part, prompts[:, None] + effects)
    return found[rows]
