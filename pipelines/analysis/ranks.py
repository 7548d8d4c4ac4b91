"""Ranks within columns: equal values share the mean of their places (midranks)."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def midranks(matrix: Floats) -> Floats:
    """Each value's rank in its column, from 1; NaN where the value is NaN, and it takes no place."""
    order = np.argsort(matrix, axis=0, kind="stable")  # NaN goes to the end
    ordered = np.take_along_axis(matrix, order, axis=0)
    place = np.arange(1.0, len(matrix) + 1)[:, None]
    new = np.ones(matrix.shape, bool)
    new[1:] = ordered[1:] != ordered[:-1]
    last = np.ones(matrix.shape, bool)
    last[:-1] = new[1:]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=0)
    end = np.minimum.accumulate(np.where(last, place, np.inf)[::-1], axis=0)[::-1]
    found = np.empty(matrix.shape)
    np.put_along_axis(found, order, np.where(np.isnan(ordered), np.nan, (first + end) / 2), axis=0)
    return found
