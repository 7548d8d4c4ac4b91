"""Vectors in memory, searched one by one: exact, whatever a filter leaves."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ASKED = 16  # filters whose rows are remembered until something changes
LEAST_ROWS = 1024  # room that a table begins with, and rows that are not worth tidying up for


class VectorTable:
    """The unit vectors of documents' chunks. Not thread-safe."""

    def __init__(self, dimensions: int) -> None:
        self._vectors = np.zeros((LEAST_ROWS, dimensions), np.float32)
        self._ids: list[str] = []  # of each row
        self._spans: dict[str, range] = {}  # rows of each document
        self._lost = 0
        self._row_of: dict[str, int] = {}
        self._asked: dict[frozenset[str], NDArray[np.intp]] = {}  # rows of the last filters' documents

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
            rows = self._rows_among(self._spans.keys() if among is None else among)
            cosines = self._vectors[rows] @ vector
        if limit < 1 or not len(rows):
            return []
        kept = np.arange(len(rows))
        if limit < len(rows):
            least = np.partition(cosines, len(rows) - limit)[len(rows) - limit]
            kept = np.flatnonzero(cosines >= least)
        order = kept[np.lexsort((rows[kept], -cosines[kept]))][:limit]
        return [(self._ids[rows[at]], float(np.clip(cosines[at], -1, 1))) for at in order]

    def _rows_among(self, documents: Collection[str]) -> "NDArray[np.intp]":
        wanted = frozenset(documents)
        if wanted not in self._asked:
            if len(self._asked) >= ASKED:
                self._asked.clear()
            self._asked[wanted] = self._rows(wanted)
        return self._asked[wanted]

    def _rows(self, documents: Collection[str]) -> "NDArray[np.intp]":
        spans = [self._spans[document_id] for document_id in documents if document_id in self._spans]
        spans.sort(key=lambda span: span.start)  # rows side by side are read faster
        return np.concatenate([np.arange(span.start, span.stop) for span in spans] or [np.arange(0)])

    def _tidy(self) -> None:
        """Leave out the rows of what was removed."""
        spans = sorted(self._spans.items(), key=lambda named: named[1].start)
        rows = self._rows([document_id for document_id, _ in spans])
        kept = np.zeros((max(LEAST_ROWS, len(rows)), self._vectors.shape[1]), np.float32)
        kept[: len(rows)] = self._vectors[rows]
        self._vectors, self._ids, self._lost = kept, [self._ids[row] for row in rows], 0
        self._row_of = {name: row for row, name in enumerate(self._ids)}
        end = 0
        for document_id, span in spans:
            self._spans[document_id] = range(end, end + len(span))
            end += len(span)
