"""Creativity as two figures, and an index of them: how far from the expected answer, how varied the repeats.

`novelty/1` is 100 times the cosine distance to the greedy answer (temperature 0) of the same model to the same
prompt. `creativity/1` is the mean of novelty and `diversity/1`, and absent where either is.

No metric of creativity is generally accepted, and sampling at a higher temperature moves both figures without
making an answer better (Peeperkorn et al. 2024, arXiv 2405.00492). So they have no weight in `overall` until
a spec gives them one.
"""

from typing import TYPE_CHECKING

from pipelines.sweeps.scoring.measure import Measure, absent, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NOVELTY = "novelty/1"
CREATIVITY = "creativity/1"


def novelty(vector: "NDArray[np.float64] | None", greedy: "NDArray[np.float64] | None") -> Measure:
    """`novelty/1` of an answer. Both: unit vectors of whole answers, None where there is none."""
    if vector is None:
        return absent("needs an embedding model, and an answer with words")
    if greedy is None:
        return absent("there is no greedy answer of this model to this prompt")
    distance = 1 - float(vector @ greedy)
    if not -1e-3 <= distance <= 2.001:  # NaN, too
        return absent("the embedding model gave no unit vectors")
    return scored(100 * distance, greedy_distance=distance)


def creativity(diversity: Measure, novelty: Measure) -> Measure:
    """`creativity/1`, the index of both."""
    for name, part in (("diversity", diversity), ("novelty", novelty)):
        if part.score is None:
            return absent(f"no {name}: {part.reason}")
    assert diversity.score is not None
    assert novelty.score is not None
    return scored((diversity.score + novelty.score) / 2)
