"""Whether an answer's sentences stand in an order that makes sense: better than the same ones shuffled.

Plain likeness of neighbours would reward saying one thing again and again. So from the mean cosine of adjacent
sentences the mean over shuffled orders of the same sentences is taken off. That mean needs no drawing: over all
orders, any two sentences stand side by side equally often, so it is the mean cosine of all pairs, exactly.

`coherence/1` is 50 + 400 times that difference, held within 0 to 100: 50 is what chance gives, 100 is a
difference of 0.125. It depends on the embedder, whose name is stored with it.
"""

from typing import TYPE_CHECKING

from pipelines.sweeps.scoring.measure import Measure, absent, scored

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COHERENCE = "coherence/1"
ENOUGH = 3  # sentences: two have no order but one and its reverse, with the same neighbours


def coherence(vectors: "NDArray[np.float32] | None") -> Measure:
    """`coherence/1` of sentences in order. vectors: a unit vector a row; None where nothing embeds."""
    if vectors is None:
        return absent("needs an embedding model")
    count = len(vectors)
    if count < ENOUGH:
        return absent(f"fewer than {ENOUGH} sentences of running text")
    wide = vectors.astype("float64")  # sums in float32 would depend on the number of sentences
    adjacent = float((wide[:-1] * wide[1:]).sum() / (count - 1))
    total = wide.sum(axis=0)
    shuffled = float((total @ total - (wide * wide).sum()) / (count * (count - 1)))
    if not (abs(adjacent) < 2 and abs(shuffled) < 2):  # NaN, too
        return absent("the embedding model gave no unit vectors")
    return scored(50 + 400 * (adjacent - shuffled), adjacent_cosine=adjacent, shuffled_cosine=shuffled)
