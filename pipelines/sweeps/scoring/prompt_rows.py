"""The rows of one prompt, scored in small batches: what a batch leaves behind is its columns' values.

A sweep may have a hundred thousand cells on a single prompt. So the repeats of a configuration are taken
together and dropped when they are done; what the others need of the whole prompt is known before: the anchors'
vectors, and the median length, for which words are counted once more where a prompt asks for no length.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import exp, log
from statistics import median
from typing import TYPE_CHECKING, Any

from pipelines.sweeps.scoring.answer import Answer
from pipelines.sweeps.scoring.coherence import coherence
from pipelines.sweeps.scoring.completeness import COMPLETENESS, completeness
from pipelines.sweeps.scoring.creativity import novelty
from pipelines.sweeps.scoring.diversity import diversity, repeat_of
from pipelines.sweeps.scoring.length import against_median
from pipelines.sweeps.scoring.measure import Measure, absent
from pipelines.sweeps.scoring.scorers import Scorers
from pipelines.sweeps.scoring.text import alone, asks_for_json, judged, put_together
from pipelines.sweeps.scoring.vectors import Vectors, vectors_of
from pipelines.sweeps.scoring_spec import JUDGED

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

READ = ("model", "prompt", "system", "parameters", "retrieval", "greedy", "text", "finish_reason")
"""The columns that scores are made of; those that a table lacks count as NULL."""

FILLED = ("completeness", "completeness_metric", "features", "scores", "score_versions")
"""The columns that are filled, in the order of `Values`."""

MADE_OF = (
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "retrieval",
)  # a configuration without an id
KEYS_AT_ONCE = 4096  # rows whose configurations are read together
AT_ONCE = 64  # answers that are read, embedded and asked about together, or all repeats of a configuration

Values = tuple[float | None, str | None, str | None, str | None, str | None]
NOTHING: Values = (None, None, None, None, None)


@dataclass(slots=True)
class _Cell:
    """A row that went well, on its way."""

    place: int
    row: Mapping[str, Any]
    answer: Answer
    measures: dict[str, Measure] = field(default_factory=dict)
    whole: "NDArray[np.float64] | None" = None


class PromptRows:
    """All rows of one prompt. table: with the columns of a stored run."""

    def __init__(self, table: "pa.Table", scorers: Scorers) -> None:
        self._all = table.combine_chunks()
        # Scorers of one's own see the whole row.
        self._table = self._all if scorers.custom else self._all.select(self._there(READ))
        self._scorers = scorers
        self._anchors: dict[object, NDArray[np.float64] | None] = {}

    def values(self) -> list[Values]:
        """For each row what FILLED is to hold; nothing for an error. Raises what embedder and judge raise."""
        found = [NOTHING] * self._all.num_rows
        greedy, others = self._groups
        for cells in self._batches(greedy):
            for cell in cells:  # in the order of the rows: of several anchors the first counts
                self._anchors.setdefault(_asked(cell.row), cell.whole)
                found[cell.place] = self._finished(cell)
        for cells in self._batches(others):
            for cell in cells:
                found[cell.place] = self._finished(cell)
        return found

    def _there(self, names: Sequence[str]) -> list[str]:
        return [name for name in names if name in self._all.column_names]

    @cached_property
    def _groups(self) -> tuple[list[list[int]], list[list[int]]]:
        """Places of good rows by configuration: of the anchors, and of all others."""
        names = self._there(("config_id", "greedy", "error_code", *MADE_OF))
        groups: dict[bool, dict[object, list[int]]] = {True: {}, False: {}}
        for start in range(0, self._all.num_rows, KEYS_AT_ONCE):
            some = self._all.slice(start, KEYS_AT_ONCE)
            there = some.column("text").is_valid().to_pylist()
            for place, (row, known) in enumerate(zip(some.select(names).to_pylist(), there, strict=True), start):
                if row.get("error_code") is None and known:
                    key = row.get("config_id") or tuple(row.get(name) for name in MADE_OF)
                    groups[bool(row.get("greedy"))].setdefault(key, []).append(place)
        return list(groups[True].values()), list(groups[False].values())

    @cached_property
    def _median(self) -> tuple[float, int]:
        """The median number of words of all answers that are no anchors, and how many have words."""
        places = [place for group in self._groups[1] for place in group]
        texts = (text.as_py() for text in self._all.column("text").take(places)) if places else ()
        logs = [log(count) for text in texts if (count := len(Answer(text).words))]
        return (exp(median(logs)), len(logs)) if logs else (0.0, 0)

    def _batches(self, groups: Sequence[Sequence[int]]) -> Iterator[list[_Cell]]:
        """Cells of whole configurations, with all measures of their own and of their repeats."""
        batch: list[Sequence[int]] = []
        for at, group in enumerate(groups, start=1):
            batch.append(group)
            if sum(map(len, batch)) >= AT_ONCE or at == len(groups):
                yield self._measured(batch)
                batch = []

    def _measured(self, groups: Sequence[Sequence[int]]) -> list[_Cell]:
        places = [place for group in groups for place in group]
        rows = self._table.take(places).to_pylist()
        cells = [_cell(place, row) for place, row in zip(places, rows, strict=True)]
        for cell in cells:
            cell.measures = alone(cell.answer, self._scorers, cell.row)
        for at in range(0, len(cells), AT_ONCE):
            self._ask_models(cells[at : at + AT_ONCE])
        if self._scorers.wants("diversity", "creativity"):
            start = 0
            for group in groups:
                _compare(cells[start : start + len(group)])
                start += len(group)
        return cells

    def _ask_models(self, cells: Sequence[_Cell]) -> None:
        answers = [cell.answer for cell in cells]
        if self._scorers.wants("coherence", "novelty", "creativity"):
            embed = self._scorers.embed
            found: Sequence[Vectors | None] = vectors_of(answers, embed) if embed else [None] * len(cells)
            for cell, vectors in zip(cells, found, strict=True):
                cell.whole = vectors.whole if vectors else None
                if self._scorers.wants("coherence"):
                    cell.measures["coherence"] = coherence(vectors.prose if vectors else None)
        if self._scorers.wants(JUDGED):
            for cell, verdict in zip(cells, judged(answers, self._scorers), strict=True):
                cell.measures |= verdict

    def _finished(self, cell: _Cell) -> Values:
        wants, measures, answer = self._scorers.wants, cell.measures, cell.answer
        if wants("length_appropriateness") and measures["length_appropriateness"].score is None:
            measures["length_appropriateness"] = against_median(len(answer.words), *self._median)
        if wants("novelty", "creativity"):
            measures["novelty"] = self._novelty(cell)
        found = put_together(answer, measures, self._scorers)
        return (
            completeness(answer.text, answer.finish_reason),
            COMPLETENESS,
            json.dumps(found.stored_features(), ensure_ascii=False),
            json.dumps(dict(found.scores)),
            sys.intern(json.dumps(dict(found.versions), ensure_ascii=False)),  # nearly always the same few
        )

    def _novelty(self, cell: _Cell) -> Measure:
        if self._scorers.embed is None:
            return absent("needs an embedding model")
        if cell.row.get("greedy"):
            return absent("this is a greedy answer: novelty is the distance to it")
        return novelty(cell.whole, self._anchors.get(_asked(cell.row)))


def _cell(place: int, row: Mapping[str, Any]) -> _Cell:
    prompt = "\n".join(part for part in (row.get("system"), row["prompt"]) if part)
    answer = Answer(row["text"], prompt=prompt, finish_reason=row.get("finish_reason"), json=asks_for_json(row))
    return _Cell(place=place, row=row, answer=answer)


def _compare(repeats: Sequence[_Cell]) -> None:
    alike = [repeat_of(cell.answer.text, cell.answer.folded) for cell in repeats] if len(repeats) > 1 else []
    found = diversity(alike)
    for cell in repeats:
        cell.measures["diversity"] = found


def _asked(row: Mapping[str, Any]) -> object:
    """Rows of one prompt that share an anchor: those of a model, and of what retrieval put before it."""
    return (row["model"], row.get("retrieval"))
