"""How much of what exact search finds an approximate index finds too; pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.documents.evaluation.ranking import Hit

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Span = tuple[str, int, int]
# Of a cosine: two orders of summing 384 products in float32 differ by less, so nearer ones are equally good.
TIE = 1e-5


class ExactSearch:
    """All vectors of a collection, compared one by one. spans: document id, start and end of each row's chunk.

    vectors: unit length, one a row.
    """

    def __init__(self, spans: Sequence[Span], vectors: "NDArray[np.float32]") -> None:
        self._rows = {span: row for row, span in enumerate(spans)}
        self._vectors = vectors

    def recall(self, found: Sequence[Hit], query: "NDArray[np.float32]", *, depth: int) -> float:
        """The part of the `depth` nearest chunks that was found. query: unit length.

        A chunk as near as the last of them is as good as that one.
        """
        import numpy as np

        cosines = self._vectors @ query
        wanted = min(depth, len(cosines))
        if not wanted:
            return 1.0
        least = float(np.partition(cosines, -wanted)[-wanted]) - TIE
        rows = (self._rows.get((hit.document_id, hit.start, hit.end)) for hit in found[:depth])
        near = {row for row in rows if row is not None and cosines[row] >= least}
        return min(len(near), wanted) / wanted
