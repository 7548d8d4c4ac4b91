"""The cluster bootstrap: whole prompts are drawn, never rows (Davison & Hinkley 1997, §3.8; Miller 2024).

One draw is a vector of how often each prompt is in it, so a draw of all means is one matrix product. The draws
of one frame size are always the same (a fixed seed): figures that are shown together agree, and a page that is
loaded twice shows the same.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000  # a share's Monte Carlo error is then at most 1.1 percentage points
SEED = 20_260_101  # any number; it must not change between two looks at the same figures

Floats = NDArray[np.float64]


@lru_cache(maxsize=4)  # 16 MB each for 1,000 prompts
def weights(prompts: int, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """How often each prompt (column) is in each draw (row). Read-only."""
    drawn = np.random.default_rng(seed).multinomial(prompts, np.full(prompts, 1 / max(prompts, 1)), size=draws)
    found = drawn.astype(np.float64)
    found.setflags(write=False)
    return found


def means(matrix: Floats, draws: int = DRAWS, seed: int = SEED) -> Floats:
    """Each column's mean (columns) in each draw of rows (rows); NaN where a draw has no value of a column."""
    drawn = weights(len(matrix), draws, seed)
    here = np.isfinite(matrix)
    if here.all():
        return np.asarray(drawn @ matrix / max(len(matrix), 1))
    total, count = drawn @ np.where(here, matrix, 0.0), drawn @ here
    found = np.full(total.shape, np.nan)
    np.divide(total, count, out=found, where=count > 0)
    return found
