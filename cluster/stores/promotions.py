"""Parameters that a sweep found best, as what a model generates with where a request does not say.

One row a model, with where it comes from: `heliostat sweep promote` writes it, every gateway reads it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Boolean, Column, Float, Row, String, Table, Text, delete, insert, select

from cluster.stores.database import UtcTime, metadata, storable, take_turns
from cluster.stores.sql_store import SqlStore

promotions = Table(
    "promotions",
    metadata,
    Column("model", String(128), primary_key=True),
    Column("parameters", Text, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("run_name", Text, nullable=False),
    Column("config_id", String(64), nullable=False),
    Column("metric", String(128)),
    Column("p_best", Float),
    Column("winner", Boolean, nullable=False),
    Column("promoted_at", UtcTime, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promotion:
    """What a model generates with by default, and the configuration of the run that it comes from.

    metric: what it is best by, None where nothing was scored. p_best: the probability that it is, None where that
    is not known. winner: whether the run showed it; else somebody named it.
    """

    model: str
    parameters: Mapping[str, Any]
    run_id: str
    run_name: str
    config_id: str
    metric: str | None
    p_best: float | None
    winner: bool
    promoted_at: datetime

    def as_json(self) -> dict[str, Any]:
        """For an answer: the parameters, and where they come from."""
        return {
            "parameters": dict(self.parameters),
            "run_id": self.run_id,
            "run_name": self.run_name,
            "config_id": self.config_id,
            "metric": self.metric,
            "p_best": self.p_best,
            "winner": self.winner,
            "promoted_at": self.promoted_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }


class Promotions(SqlStore):
    """The promotions of all models, as they stand for all gateways."""

    def all(self) -> dict[str, Promotion]:
        """By model."""
        return {row.model: _read(row) for row in self._rows(select(promotions))}

    def get(self, model: str) -> Promotion | None:
        """A model's; None where it generates with what it always did."""
        row = self._row(select(promotions).where(promotions.c.model == model))
        return None if row is None else _read(row)

    def put(self, promotion: Promotion) -> None:
        """Replace the model's. Of two at once, one comes after the other."""
        values = {
            "parameters": json.dumps(dict(promotion.parameters)),
            "run_id": promotion.run_id,
            "run_name": storable(promotion.run_name),
            "config_id": promotion.config_id,
            "metric": promotion.metric,
            "p_best": promotion.p_best,
            "winner": promotion.winner,
            "promoted_at": promotion.promoted_at,
        }
        with self._engine.begin() as connection:
            take_turns(connection, "promotions")
            connection.execute(delete(promotions).where(promotions.c.model == promotion.model))
            connection.execute(insert(promotions).values(model=promotion.model, **values))

    def remove(self, model: str) -> bool:
        """Take the model's back; False where it has none."""
        return self._change(delete(promotions).where(promotions.c.model == model)) > 0


def _read(row: Row[Any]) -> Promotion:
    return Promotion(
        model=row.model,
        parameters=json.loads(row.parameters),
        run_id=row.run_id,
        run_name=row.run_name,
        config_id=row.config_id,
        metric=row.metric,
        p_best=row.p_best,
        winner=row.winner,
        promoted_at=row.promoted_at,
    )
