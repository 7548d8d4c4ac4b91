"""Places of documents' chunks in a row of all chunks, where each document's are side by side."""

from collections.abc import Collection
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def places_of(spans: Collection[range]) -> "NDArray[np.intp]":
    """All places of some spans, ascending: what lies side by side is read faster. The spans share no place."""
    import numpy as np

    firsts = np.fromiter((span.start for span in spans), np.intp, len(spans))
    counts = np.fromiter(map(len, spans), np.intp, len(spans))
    order = np.argsort(firsts)
    firsts, counts = firsts[order], counts[order]
    before = np.cumsum(counts) - counts  # how many places come before each span's
    places: NDArray[np.intp] = np.repeat(firsts - before, counts) + np.arange(int(counts.sum()))
    return places
