"""The scores of single experiments' answers in the SQL database; they go with their answer.

Some scores look at an answer's siblings, so a row says among which answers it was made: of others it is old.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, insert, select
from sqlalchemy.schema import Column, ForeignKey, Table
from sqlalchemy.types import Float, Integer, String, Text

from cluster.stores.database import UtcTime, metadata, now, take_turns
from cluster.stores.lab_responses import lab_responses
from cluster.stores.sql_store import SqlStore

lab_metrics = Table(
    "lab_metrics",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("response_id", ForeignKey("lab_responses.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("coherence_score", Float),
    Column("completeness_score", Float),
    Column("readability_score", Float),
    Column("length_appropriateness_score", Float),
    Column("creativity_score", Float),
    Column("specificity_score", Float),
    Column("overall_score", Float),
    Column("word_count", Integer),
    Column("sentence_count", Integer),
    Column("analysis_version", Text, nullable=False),
    Column("reasons", Text, nullable=False),  # JSON: why a score is NULL, by its column
    Column("basis", String(64), nullable=False),
    Column("calculated_at", UtcTime, nullable=False),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabMetric:
    """The scores of one answer, 0 to 100; None for the reason there. basis: among which answers."""

    id: int
    response_id: int
    coherence_score: float | None
    completeness_score: float | None
    readability_score: float | None
    length_appropriateness_score: float | None
    creativity_score: float | None
    specificity_score: float | None
    overall_score: float | None
    word_count: int | None
    sentence_count: int | None
    analysis_version: str
    reasons: Mapping[str, str]
    basis: str
    calculated_at: datetime


class LabMetrics(SqlStore):
    """Those of one database."""

    def of(self, response_ids: Sequence[int]) -> dict[int, LabMetric]:
        """Those that are stored, by the answers' ids."""
        query = select(lab_metrics).where(lab_metrics.c.response_id.in_(response_ids))
        return {row.response_id: _read(row) for row in self._rows(query)}

    def put(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Store the scores of several answers, in the place of their earlier ones. rows: by columns."""
        moment = now()
        ids = [row["response_id"] for row in rows]
        with self._engine.begin() as connection:
            take_turns(connection, lab_metrics.name)
            there = set(connection.scalars(select(lab_responses.c.id).where(lab_responses.c.id.in_(ids))))
            rows = [row for row in rows if row["response_id"] in there]  # others went meanwhile
            connection.execute(delete(lab_metrics).where(lab_metrics.c.response_id.in_(ids)))
            if rows:
                connection.execute(insert(lab_metrics), [{**row, "calculated_at": moment} for row in rows])


def _read(row: Row[Any]) -> LabMetric:
    fields = dict(row._mapping)
    return LabMetric(**{**fields, "reasons": json.loads(fields["reasons"])})
