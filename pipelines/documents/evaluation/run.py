"""Asks every query of a dataset in every mode and measures what comes back. Knows neither Ray nor HTTP."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from cluster.errors import BadRequest
from pipelines.documents.evaluation.dataset import Dataset, Query
from pipelines.documents.evaluation.exact import ExactSearch
from pipelines.documents.evaluation.ranking import Hit, ranked
from pipelines.documents.evaluation.scores import DEPTH, Asked, asked

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAREST = 10  # chunks that the index is held against exact search by
SAMPLE = 200  # queries of that: its error is then below 0.01


class Mode(StrEnum):
    """How passages are found. rerank: hybrid, whose best a cross-encoder then orders."""

    DENSE = "dense"
    BM25 = "bm25"
    HYBRID = "hybrid"
    RERANK = "rerank"


class Search(Protocol):
    """A collection that can be searched."""

    def search(self, query: str, *, mode: Mode, limit: int, per_document: int | None) -> tuple[Hit, ...]:
        """Passages, best first. Raises BadRequest for a query that cannot be asked."""
        ...


Embed = Callable[[str], "NDArray[np.float32]"]
Watch = Callable[[Mode, int], None]


class Evaluation:
    """One dataset on one collection. entries: the corpus ids of each stored document. clock: in seconds."""

    def __init__(
        self,
        dataset: Dataset,
        entries: Mapping[str, Sequence[str]],
        search: Search,
        watch: Watch,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._dataset = dataset
        self._entries = entries
        self._search = search
        self._watch = watch
        self._clock = clock

    def measure(self, mode: Mode) -> tuple[Asked, ...]:
        """All queries, one after another, so that a latency is of a search alone. The first is asked twice.

        A query that is refused as it is found nothing; every other error ends the run. Raises BadRequest where all
        of them are refused.
        """
        self._ask(self._dataset.queries[0], mode)  # loads what is loaded at its first use
        rows = []
        for number, query in enumerate(self._dataset.queries, start=1):
            rows.append(self._ask(query, mode))
            self._watch(mode, number)
        if all(row.error is not None for row in rows):
            raise BadRequest(f"Every query was refused in mode {mode}: {rows[0].error}")
        return tuple(rows)

    def against_exact(self, rows: Sequence[Asked], exact: ExactSearch, embed: Embed) -> tuple[Asked, ...]:
        """The dense rows, with the index's recall where it was measured: of a sample, evenly over the queries."""
        queries = {query.id: query for query in self._dataset.queries}
        step = max(len(rows) // SAMPLE, 1)
        told = list(rows)
        for place in range(0, len(rows), step):
            if rows[place].error is None:
                text = queries[rows[place].query_id].text
                found = self._search.search(text, mode=Mode.DENSE, limit=NEAREST, per_document=None)
                told[place] = replace(rows[place], index_recall=exact.recall(found, embed(text), depth=NEAREST))
        return tuple(told)

    def _ask(self, query: Query, mode: Mode) -> Asked:
        began = self._clock()
        try:
            hits = self._search.search(query.text, mode=mode, limit=DEPTH, per_document=1)
        except BadRequest as error:
            return asked(query, mode, (), latency_ms=1000 * (self._clock() - began), error=error.line())
        spent = 1000 * (self._clock() - began)
        return asked(query, mode, ranked(hits, self._entries, without=query.itself), latency_ms=spent)
