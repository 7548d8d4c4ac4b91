"""Vectors in memory, searched one by one: exact, whatever a filter leaves."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from cluster.retrieval.places import places_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED = 16  # filters whose rows are remembered until something changes
LEAST_ROWS = 1024  # room that a table begins with, and rows that are not worth tidying up for
BLOCK = 512  # rows compared at once: copied from all over, they stay in a core's cache until they are multiplied


class VectorTable:
    """The unit vectors of documents' chunks. Not thread-safe."""

    def __init__(self, dimensions: int) -> None:
        self._vectors = np.zeros((LEAST_ROWS, dimensions), np.float32)
        self._ids: list[str] = []  # of each row
        self._spans: dict[str, range] = {}  # rows of each document
        self._lost = 0
        self._row_of: dict[str, int] = {}
        self._asked: dict[frozenset[str] | None, NDArray[np.intp]] = {}  # rows of the last filters' documents

    def __len__(self) -> int:
        """How many vectors there are."""
        return len(self._ids) - self._lost

    def vectors(self, ids: Sequence[str]) -> "dict[str, NDArray[np.float32]]":
        """The vectors of those of these chunks that are here, by id."""
        return {name: self._vectors[self._row_of[name]] for name in ids if name in self._row_of}

    def add(self, document_id: str, ids: Sequence[str], vectors: "NDArray[np.float32]") -> None:
        """Take a document's chunks, all of them at once; what it had before leaves."""
        self.remove(document_id)
        first, end = len(self._ids), len(self._ids) + len(ids)
        if end > len(self._vectors):
            grown = np.zeros((max(end, len(self._vectors) * 3 // 2), self._vectors.shape[1]), np.float32)
            grown[:first] = self._vectors[:first]
            self._vectors = grown
        self._vectors[first:end] = vectors
        self._ids.extend(ids)
        self._row_of.update(zip(ids, range(first, end), strict=True))
        self._spans[document_id] = range(first, end)
        self._asked.clear()

    def remove(self, document_id: str) -> None:
        """Forget a document; one that is not there is no error."""
        span = self._spans.pop(document_id, range(0))
        for row in span:
            del self._row_of[self._ids[row]]
        self._lost += len(span)
        self._asked.clear()
        if self._lost > LEAST_ROWS and self._lost > len(self):
            self._tidy()

    def nearest(
        self, vector: "NDArray[np.float32]", *, limit: int, among: frozenset[str] | None = None
    ) -> list[tuple[str, float]]:
        """The nearest chunks with their cosines, nearest first; of equals, the one added first."""
        if among is None and not self._lost:
            rows = np.arange(len(self._ids))
            cosines = self._vectors[: len(rows)] @ vector
        else:
            rows = self._rows_of(among)
            cosines = self._compared(rows, vector)
        if limit < 1 or not len(rows):
            return []
        kept = np.arange(len(rows))
        if limit < len(rows):
            least = np.partition(cosines, len(rows) - limit)[len(rows) - limit]
            kept = np.flatnonzero(cosines >= least)
        order = kept[np.lexsort((rows[kept], -cosines[kept]))][:limit]
        near = zip(rows[order].tolist(), np.clip(cosines[order], -1, 1).tolist(), strict=True)
        return [(self._ids[row], cosine) for row, cosine in near]

    def count(self, among: frozenset[str]) -> int:
        """How many vectors these documents have."""
        return len(self._rows_of(among))

    def _compared(self, rows: "NDArray[np.intp]", vector: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """The cosines of some rows: 10,000 in a third of the time that a copy of all of them would take."""
        cosines = np.empty(len(rows), np.float32)
        block = np.empty((min(BLOCK, len(rows)), self._vectors.shape[1]), np.float32)
        for first in range(0, len(rows), BLOCK):
            part = rows[first : first + BLOCK]
            # mode: rows are right, and with the default one `take` would copy into memory of its own first
            near = np.take(self._vectors, part, axis=0, out=block[: len(part)], mode="clip")
            np.dot(near, vector, out=cosines[first : first + len(part)])
        return cosines

    def _rows_of(self, among: frozenset[str] | None) -> "NDArray[np.intp]":
        if among not in self._asked:
            if len(self._asked) >= ASKED:
                self._asked.clear()
            spans = [span for document_id, span in self._spans.items() if among is None or document_id in among]
            self._asked[among] = places_of(spans)
        return self._asked[among]

    def _tidy(self) -> None:
        """Leave out the rows of what was removed."""
        spans = sorted(self._spans.items(), key=lambda named: named[1].start)
        rows = places_of([span for _, span in spans])
        kept = np.zeros((max(LEAST_ROWS, len(rows)), self._vectors.shape[1]), np.float32)
        kept[: len(rows)] = self._vectors[rows]
        self._vectors, self._ids, self._lost = kept, [self._ids[row] for row in rows], 0
        self._row_of = {name: row for row, name in enumerate(self._ids)}
        end = 0
        for document_id, span in spans:
            self._spans[document_id] = range(end, end + len(span))
            end += len(span)
