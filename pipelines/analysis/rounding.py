"""Figures without the dust of sums: two means that are equal on paper are equal here.

Three repeats that scored 70.1 have a mean of 70.09999999999998, one of them 70.1; and the same three scores in
another order sum to another last digit. Ranks, ties and runs of equal values take such dust for a difference.
"""

import numpy as np
from numpy.typing import NDArray

DIGITS = 12  # of a figure; sums of some thousand scores err in the fourteenth

Floats = NDArray[np.float64]


def settled(values: Floats) -> Floats:
    """The values to DIGITS digits; what is not finite stays. Twice is as once."""
    size = np.abs(values)
    told = np.isfinite(size) & (size > 0)
    power = DIGITS - 1 - np.floor(np.log10(np.where(told, size, 1.0)))
    scale = 10.0 ** np.clip(power, -290, 290)
    return np.where(told, np.round(values * scale) / scale, values)
