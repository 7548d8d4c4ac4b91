"""The answers of single experiments in the SQL database, one row a cell; they go with their experiment.

A row holds what a sweep's row holds (`cluster.stores.runs.schema`), so that both are scored and summed up alike.
A cell that failed has a row too, which a later success replaces.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, delete, func, insert, select
from sqlalchemy.schema import Column, ForeignKey, Index, Table, UniqueConstraint
from sqlalchemy.types import Float, Integer, String, Text

from cluster.errors import ResponseNotFound
from cluster.stores.database import UtcTime, metadata, now, storable
from cluster.stores.lab_experiments import advanced, lab_experiments
from cluster.stores.sql_store import SqlStore

if TYPE_CHECKING:
    import pyarrow as pa

SORTS = ("id", "temperature", "top_p", "response_time", "completion_tokens", "created_at")
"""The columns that a list may be sorted by."""

lab_responses = Table(
    "lab_responses",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("experiment_id", ForeignKey("lab_experiments.id", ondelete="CASCADE"), nullable=False),
    Column("cell_id", String(64), nullable=False),
    Column("model", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("temperature", Float),
    Column("top_p", Float),
    Column("max_tokens", Integer),
    Column("repeat", Integer, nullable=False),
    Column("finish_reason", String(32)),
    Column("prompt_tokens", Integer),
    Column("completion_tokens", Integer),
    Column("response_time", Float),  # milliseconds
    Column("cost", Float),  # USD
    Column("error_code", String(64)),
    Column("error_message", Text),
    Column("cell_row", Text, key="row", nullable=False),  # JSON: the sweep's row without its text
    Column("created_at", UtcTime, nullable=False),
    UniqueConstraint("experiment_id", "cell_id"),
    Index("lab_responses_experiment", "experiment_id", "id"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabResponse:
    """One answer. response_time: milliseconds from request to end. cost: USD, None where no price is known.

    content: empty where there is an error. row: the sweep's row, with the text.
    """

    id: int
    experiment_id: int
    cell_id: str
    model: str
    content: str
    temperature: float | None
    top_p: float | None
    max_tokens: int | None
    repeat: int
    finish_reason: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    response_time: float | None
    cost: float | None
    error_code: str | None
    error_message: str | None
    row: Mapping[str, Any]
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseFilter:
    """Which answers of an experiment; None leaves all in. sort: one of SORTS, `-` for the greatest first."""

    model: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    failed: bool | None = None
    sort: str = "id"


class LabResponses(SqlStore):
    """The answers of one database."""

    def add(
        self,
        experiment_id: int,
        session: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        completed: int,
        failed: int,
        current: Mapping[str, Any],
    ) -> bool:
        """Store rows of a sweep's shape, and how far the experiment is; False where it ended, and nothing is."""
        with self._engine.begin() as connection:
            note = advanced(experiment_id, session, completed=completed, failed=failed, current=current)
            if not connection.execute(note).rowcount:  # the row's lock is held now: rows and count are one
                return False
            table = lab_responses.c
            cells = [row["cell_id"] for row in rows]
            earlier = delete(lab_responses).where(table.experiment_id == experiment_id, table.cell_id.in_(cells))
            connection.execute(earlier)
            connection.execute(insert(lab_responses), [_encoded(experiment_id, row) for row in rows])
        return True

    def get(self, response_id: int, *, owner: str | None) -> LabResponse:
        """One answer of an owner's experiments, or of anybody's. Raises ResponseNotFound."""
        found = self.several([response_id], owner=owner)
        if not found:
            raise unknown(response_id)
        return found[0]

    def several(self, response_ids: Sequence[int], *, owner: str | None) -> list[LabResponse]:
        """Those that exist and may be seen, in the ids' order."""
        query = _of_owner(select(lab_responses).where(lab_responses.c.id.in_(response_ids)), owner)
        found = {row.id: _read(row) for row in self._rows(query)}
        return [found[number] for number in response_ids if number in found]

    def page(
        self, experiment_id: int, *, limit: int, offset: int, wanted: ResponseFilter
    ) -> tuple[int, Sequence[LabResponse]]:
        """How many an experiment has, and some of them."""
        total, rows = self._page(_wanted(experiment_id, wanted), limit=limit, offset=offset)
        return total, [_read(row) for row in rows]

    def of(self, experiment_id: int, *, model: str | None = None) -> list[LabResponse]:
        """All of an experiment, oldest first; of one model, where it is named."""
        return [_read(row) for row in self._rows(_wanted(experiment_id, ResponseFilter(model=model)))]

    def cells(self, experiment_id: int) -> dict[str, bool]:
        """The cells that have a row, and whether each went well."""
        table = lab_responses.c
        query = select(table.cell_id, table.error_code).where(table.experiment_id == experiment_id)
        return {row.cell_id: row.error_code is None for row in self._rows(query)}

    def state(self, experiment_id: int) -> tuple[int, int]:
        """How many answers there are, and the newest one's id: another pair is another set of answers."""
        return self.states([experiment_id])[experiment_id]

    def states(self, experiment_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """The same of several, by their ids."""
        table = lab_responses.c
        query = (
            select(table.experiment_id, func.count(), func.max(table.id))
            .where(table.experiment_id.in_(experiment_ids))
            .group_by(table.experiment_id)
        )
        found = {number: (int(count), int(newest)) for number, count, newest in self._rows(query)}
        return {number: found.get(number, (0, 0)) for number in experiment_ids}


def table_of(responses: Sequence[LabResponse]) -> "pa.Table":
    """The answers as a sweep's rows, in their order."""
    import pyarrow as pa

    from cluster.stores.runs import schema

    rows = [
        {**found.row, "ordinal": place, "started": datetime.fromisoformat(found.row["started"])}
        for place, found in enumerate(responses)
    ]
    return pa.Table.from_pylist(rows, schema=schema())


def unknown(response_id: int, *, param: str | None = None) -> ResponseNotFound:
    """The error for an answer that its asker cannot see."""
    hint = "GET /api/responses/{experiment_id} lists an experiment's"
    return ResponseNotFound(f"No response with the id {response_id}", hint=hint, param=param)


def _of_owner(query: Select[Any], owner: str | None) -> Select[Any]:
    if owner is None:
        return query
    of = lab_experiments.c
    return query.join(lab_experiments, of.id == lab_responses.c.experiment_id).where(of.owner == owner)


def _wanted(experiment_id: int, wanted: ResponseFilter) -> Select[Any]:
    table = lab_responses.c
    query = select(lab_responses).where(table.experiment_id == experiment_id)
    for name in ("model", "temperature", "top_p"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(table[name] == value)
    if wanted.failed is not None:
        query = query.where(table.error_code.is_not(None) if wanted.failed else table.error_code.is_(None))
    column = table[wanted.sort.removeprefix("-")]
    # A failed answer has no time and no tokens: it comes last either way, whatever a database thinks of NULL.
    ordered = column.desc() if wanted.sort.startswith("-") else column.asc()
    return query.order_by(column.is_(None), ordered, table.id)


def _encoded(experiment_id: int, row: Mapping[str, Any]) -> dict[str, Any]:
    text, error = row.get("text"), row.get("error_message")
    kept = {**row, "text": None, "started": row["started"].isoformat()}
    return {
        "experiment_id": experiment_id,
        "cell_id": row["cell_id"],
        "model": row["model"],
        "content": storable(text or ""),
        "temperature": row.get("temperature"),
        "top_p": row.get("top_p"),
        "max_tokens": row.get("max_tokens"),
        "repeat": row["repeat"],
        "finish_reason": row.get("finish_reason"),
        "prompt_tokens": row.get("prompt_tokens"),
        "completion_tokens": row.get("completion_tokens"),
        "response_time": row.get("latency_ms"),
        "cost": row.get("cost"),
        "error_code": row.get("error_code"),
        "error_message": None if error is None else storable(error),
        "row": json.dumps(kept),
        "created_at": now(),
    }


def _read(row: Row[Any]) -> LabResponse:
    fields = {column.key: row._mapping[column.key] for column in lab_responses.columns}
    kept = json.loads(fields["row"])
    text = None if fields["error_code"] is not None else fields["content"]
    fields["row"] = {**kept, "text": text}
    return LabResponse(**fields)
