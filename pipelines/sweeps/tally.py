"""How far a sweep is, and how it looks so far: pure counting over rows as they appear."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelines.sweeps.scoring.completeness import COMPLETENESS

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = (
    "model",
    "temperature",
    "top_p",
    "max_tokens",
    "parameters",
    "prompt_tokens",
    "completion_tokens",
    "cost",
    "greedy",
    "started",
    "completeness",
    "error_code",
)
"""The columns of a stored run that a tally reads."""


PREVIEWED = 10_000  # configurations


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """A sweep at one moment. done: cells with a row, failed ones included. ran: in this session.

    cells_per_minute, tokens_per_s, remaining_s: of this session; None until a cell has finished.
    current: parameters of the cell that was stored last. preview: see `Tally.preview`.
    """

    total: int
    done: int
    failed: int
    ran: int
    cells_per_minute: float | None
    tokens_per_s: float | None
    remaining_s: float | None
    current: Mapping[str, Any] | None
    preview: Mapping[str, Any] | None

    def finish_at(self, moment: datetime) -> datetime | None:
        """When all cells have a row at this pace; None where the pace is not known yet."""
        return None if self.remaining_s is None else moment + timedelta(seconds=self.remaining_s)


@dataclass(slots=True)
class Tally:
    """Counts the rows of a run. total: planned cells.

    spent_tokens, cost: of all rows that were counted, prompts and answers; cost in US dollars.
    """

    total: int
    done: int = 0
    failed: int = 0
    ran: int = 0
    tokens: int = 0
    spent_tokens: int = 0
    cost: float = 0.0
    first: datetime | None = None
    current: dict[str, Any] | None = None
    _scores: dict[str, tuple[int, float]] = field(default_factory=dict)

    def keep(self, rows: "pa.Table") -> None:
        """Rows of earlier sessions that stay."""
        for row in rows.select(COLUMNS).to_pylist():
            self._count(row)

    def add(self, rows: "pa.Table") -> None:
        """Rows that this session stored."""
        for row in rows.select(COLUMNS).to_pylist():
            self._count(row)
            self.ran += 1
            self.tokens += row["completion_tokens"] or 0
            self.first = min(self.first or row["started"], row["started"])
            self.current = parameters_of(row)

    def progress(self, moment: datetime) -> Progress:
        """The figures at a moment."""
        seconds = (moment - self.first).total_seconds() if self.first is not None else 0.0
        pace = self.ran / seconds if seconds > 0 and self.ran else None
        return Progress(
            total=self.total,
            done=self.done,
            failed=self.failed,
            ran=self.ran,
            cells_per_minute=60 * pace if pace else None,
            tokens_per_s=self.tokens / seconds if pace else None,
            remaining_s=(self.total - self.done) / pace if pace else None,
            current=self.current,
            preview=self.preview(),
        )

    def preview(self) -> dict[str, Any] | None:
        """The metric so far: the best configuration's mean, the mean of all cells; None before any score.

        optimal_parameters is None while several configurations share the best mean: then there is none.
        While a sweep of very many configurations runs there is no preview: it would cost more than the cells.
        """
        if not self._scores or (len(self._scores) > PREVIEWED and self.done < self.total):
            return None
        means = {key: total / count for key, (count, total) in self._scores.items()}
        best = max(means.values())
        winners = [key for key, mean in means.items() if mean == best]
        cells = sum(count for count, _ in self._scores.values())
        return {
            "best_quality_score": round(best, 1),
            "average_quality_score": round(sum(total for _, total in self._scores.values()) / cells, 1),
            "optimal_parameters": json.loads(winners[0])[1] if len(winners) == 1 and len(means) > 1 else None,
            "metric": COMPLETENESS,
            "cells": cells,
        }

    def _count(self, row: Mapping[str, Any]) -> None:
        self.done += 1
        self.failed += row["error_code"] is not None
        self.spent_tokens += (row["prompt_tokens"] or 0) + (row["completion_tokens"] or 0)
        self.cost += row["cost"] or 0.0
        if row["completeness"] is not None and not row["greedy"]:  # an anchor is of no configuration
            key = json.dumps([row["model"], parameters_of(row)])
            count, total = self._scores.get(key, (0, 0.0))
            self._scores[key] = (count + 1, total + row["completeness"])


def parameters_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row's parameters, those that were sent."""
    named = {name: row[name] for name in ("temperature", "top_p", "max_tokens") if row[name] is not None}
    return {**named, **json.loads(row["parameters"])}
