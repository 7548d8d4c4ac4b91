"""How wide a mean's interval is to be expected: what a rule that ends repeats may look at.

The width that is seen in a sample is no such thing: who looks again and again and stops when it is narrow, stops
at lucky widths, and the tests behind then err in 6.8 % (10 prompts). So the width is made of its two parts. What
repeats scatter is known from many cells and says nothing of where the means lie; what prompts differ by, which
repeats cannot change, is taken from the first look alone (Stein's two-stage idea, 1945).
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.analysis.frame import Blocks
from pipelines.analysis.student import LEVEL

Floats = NDArray[np.float64]


def expected_half_width(first: Blocks, now: Blocks, level: float = LEVEL) -> Floats:
    """Of each configuration's mean, with the repeats that `now` has; NaN under two prompts.

    first: the same prompts and configurations at the first look. With one repeat everywhere it is the width seen.
    """
    from scipy.special import stdtrit

    n = (now.count > 0).sum(axis=0)
    between = np.maximum(_variance(first) - _noise(first), 0.0)
    found = np.full(len(n), np.nan)
    told = n > 1
    error = np.sqrt((between + _noise(now))[told] / n[told])
    found[told] = stdtrit(n[told] - 1, (1 + level) / 2) * error
    return found


def _variance(blocks: Blocks) -> Floats:
    """Between the prompts' means of each configuration; NaN under two."""
    here = blocks.count > 0
    n = here.sum(axis=0)
    mean = np.where(here, blocks.mean, 0.0)
    centre = mean.sum(axis=0) / np.maximum(n, 1)
    squares = (np.where(here, blocks.mean - centre, 0.0) ** 2).sum(axis=0)
    return np.asarray(np.divide(squares, n - 1, out=np.full(len(n), np.nan), where=n > 1))


def _noise(blocks: Blocks) -> Floats:
    """The part of that variance that repeats leave; 0 where no cell has two, and so none is known."""
    here = blocks.count > 0
    freedom = (blocks.count - here).sum(axis=0)
    inverse = np.divide(1.0, blocks.count, out=np.zeros(here.shape), where=here).sum(axis=0)
    scatter = np.divide(blocks.within.sum(axis=0), freedom, out=np.zeros(len(freedom)), where=freedom > 0)
    return np.asarray(scatter * inverse / np.maximum(here.sum(axis=0), 1))
