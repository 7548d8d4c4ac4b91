"""Decision events in the SQL database: what every gateway decided of requests, and why.

Gateways write them in small batches, off the way of requests; the oldest go when there are too many.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, Column, Integer, String, Table, delete, func, insert, select

from cluster.stores.database import UtcTime, metadata, now, storable
from cluster.stores.sql_store import SqlStore

MOST_TEXT = 256  # characters of a name or reason: a model's id is shorter, and nothing longer is decided on

decision_events = Table(
    "decision_events",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("at", UtcTime, nullable=False, index=True),
    Column("gateway", String(64), nullable=False),
    Column("kind", String(32), nullable=False, index=True),
    Column("model", String(MOST_TEXT), nullable=False),
    Column("reason", String(MOST_TEXT), nullable=False),
    Column("request_id", String(128)),
    Column("count", Integer, nullable=False),
    Column("inputs", JSON, nullable=False),
    sqlite_autoincrement=True,  # an id is never given twice, or a follower would miss the second
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionEvent:
    """One decision. kind: what was decided; model: of which model; reason: a stable word or code.

    inputs: the figures that it was decided on. count: how many decisions alike this stands for, of which
    request_id is one. id: None until it is stored. gateway: who decided.
    """

    at: datetime
    gateway: str
    kind: str
    model: str
    reason: str
    request_id: str | None = None
    count: int = 1
    inputs: Mapping[str, Any] = field(default_factory=dict)
    id: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "object": "event",
            "id": self.id,
            "at": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "gateway": self.gateway,
            "kind": self.kind,
            "model": self.model,
            "reason": self.reason,
            "request_id": self.request_id,
            "count": self.count,
            "inputs": dict(self.inputs),
        }


class EventStore(SqlStore):
    """The events of all gateways."""

    def add(self, events: Sequence[DecisionEvent]) -> None:
        """Store a batch."""
        rows = [
            {
                "at": event.at,
                "gateway": event.gateway,
                "kind": event.kind,
                "model": storable(event.model)[:MOST_TEXT],
                "reason": storable(event.reason)[:MOST_TEXT],
                "request_id": event.request_id,
                "count": event.count,
                "inputs": dict(event.inputs),
            }
            for event in events
        ]
        if rows:
            with self._engine.begin() as connection:
                connection.execute(insert(decision_events), rows)

    def newest(
        self,
        *,
        limit: int,
        kinds: Sequence[str] = (),
        models: Sequence[str] = (),
        since: datetime | None = None,
        after: int | None = None,
    ) -> tuple[DecisionEvent, ...]:
        """The newest of those asked for, oldest first. kinds, models: none is all. after: an event's id."""
        table = decision_events.c
        query = select(decision_events).order_by(table.id.desc()).limit(limit)
        if kinds:
            query = query.where(table.kind.in_(kinds))
        if models:
            query = query.where(table.model.in_(models))
        if since is not None:
            query = query.where(table.at >= since)
        if after is not None:
            query = query.where(table.id > after)
        # `_mapping` is public, whatever its name
        return tuple(DecisionEvent(**row._mapping) for row in reversed(self._rows(query)))

    def last_id(self) -> int:
        """The newest event's id, 0 where there is none."""
        with self._engine.connect() as connection:
            return connection.execute(select(func.max(decision_events.c.id))).scalar() or 0

    def prune(self, *, kept: int, keep_days: int) -> int:
        """Drop what is too old or too much; how many that were."""
        table = decision_events.c
        with self._engine.begin() as connection:
            edge = connection.execute(select(table.id).order_by(table.id.desc()).offset(kept).limit(1)).scalar()
            too_old = table.at < now() - timedelta(days=keep_days)
            gone = too_old if edge is None else too_old | (table.id <= edge)
            return connection.execute(delete(decision_events).where(gone)).rowcount
