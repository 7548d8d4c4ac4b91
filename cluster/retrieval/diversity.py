"""Maximal marginal relevance: passages that are good and do not repeat each other. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def diversify(
    relevance: Sequence[float], vectors: "NDArray[np.float32]", *, limit: int, diversity: float
) -> list[int]:
    """The places of at most `limit` items in the order chosen, each time the one of most

        (1 - diversity) * relevance / best relevance - diversity * greatest cosine to what is chosen already

    relevance: of each item, any scale, 0 for none (below counts as 0). vectors: of unit length, shape (items,
    dimensions). diversity: 0 orders by relevance alone, 1 takes after the most relevant what differs most.
    Of equals, the earlier item.
    """
    import numpy as np

    scores = np.maximum(np.asarray(relevance, dtype=np.float64), 0.0)
    if not len(scores) or limit < 1:
        return []
    scores = scores / scores.max() if scores.max() > 0 else scores
    left = np.ones(len(scores), dtype=bool)
    nearest = np.full(len(scores), -np.inf)
    chosen = [int(np.argmax(scores))]
    while len(chosen) < min(limit, len(scores)):
        left[chosen[-1]] = False
        nearest = np.maximum(nearest, vectors @ vectors[chosen[-1]])
        gain = (1.0 - diversity) * scores - diversity * nearest
        chosen.append(int(np.argmax(np.where(left, gain, -np.inf))))
    return chosen
