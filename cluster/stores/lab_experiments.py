"""Single experiments in the SQL database: one prompt over ranges of temperature and top_p, and how far it is.

The answers are in `lab_responses`. While one generates, one gateway holds it by its session, and beats: one that
is silent for long is of a gateway that is gone, and the next may go on with it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, delete, false, insert, or_, select, update
from sqlalchemy.schema import Column, Index, Table
from sqlalchemy.types import Boolean, Float, Integer, String, Text

from cluster.errors import Conflict, ExperimentNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now, storable, take_turns
from cluster.stores.lab_filter import LabFilter
from cluster.stores.sql_store import SqlStore

DRAFT, RUNNING, COMPLETED, FAILED, CANCELLED = "draft", "running", "completed", "failed", "cancelled"
SILENT_S = 30.0  # a gateway that generates beats every second

lab_experiments = Table(
    "lab_experiments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("owner", String(OWNER), nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("prompt", Text, nullable=False),
    Column("temperature_min", Float, nullable=False),
    Column("temperature_max", Float, nullable=False),
    Column("temperature_step", Float, nullable=False),
    Column("top_p_min", Float, nullable=False),
    Column("top_p_max", Float, nullable=False),
    Column("top_p_step", Float, nullable=False),
    Column("max_tokens", Integer),
    Column("response_count", Integer, nullable=False),
    Column("status", String(16), nullable=False),
    Column("tags", Text, nullable=False),  # JSON
    Column("favorited", Boolean, nullable=False, server_default=false()),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("model", Text),  # the one that answered last, or answers now
    Column("total", Integer, nullable=False, server_default="0"),  # of the last generation
    Column("completed", Integer, nullable=False, server_default="0"),
    Column("failed", Integer, nullable=False, server_default="0"),
    Column("current_parameters", Text),  # JSON
    Column("error_message", Text),
    Column("session", String(40)),
    Column("beat_at", UtcTime),
    Column("started_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("number", Integer, nullable=False),  # counts its changes: of events, and ETags
    Index("lab_experiments_owner", "owner", "id"),
    sqlite_autoincrement=True,  # an id of a deleted experiment never comes back
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabExperiment:
    """One single experiment. total, completed, failed: cells of its last generation, failed ones among completed.

    number: counts its changes, from 1.
    """

    id: int
    owner: str
    name: str
    description: str
    prompt: str
    temperature_min: float
    temperature_max: float
    temperature_step: float
    top_p_min: float
    top_p_max: float
    top_p_step: float
    max_tokens: int | None
    response_count: int
    status: str
    tags: Sequence[str]
    favorited: bool
    archived: bool
    model: str | None
    total: int
    completed: int
    failed: int
    current_parameters: Mapping[str, Any] | None
    error_message: str | None
    session: str | None
    beat_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    number: int

    @property
    def progress(self) -> int:
        """Percent of the last generation's cells that have an answer or an error, 0 to 100."""
        return 100 * self.completed // self.total if self.total else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredExperiment:
    """One that has generated. began_at: its last generation."""

    id: int
    name: str
    status: str
    began_at: datetime

    @classmethod
    def of(cls, found: Any) -> "AnsweredExperiment":
        """Of a LabExperiment, or of a row of its columns."""
        return cls(id=found.id, name=found.name, status=found.status, began_at=found.started_at or found.created_at)


class LabExperiments(SqlStore):
    """The single experiments of one database."""

    def create(self, values: Mapping[str, Any], *, owner: str) -> LabExperiment:
        """Store a new draft. values: by the columns that its owner writes."""
        moment = now()
        row = {"owner": owner, "status": DRAFT, "created_at": moment, "updated_at": moment, "number": 1}
        with self._engine.begin() as connection:
            made = connection.execute(insert(lab_experiments).values({**row, **_encoded(values)}))
            key = made.inserted_primary_key
            assert key is not None
            return _read(connection.execute(_select(key[0], owner)).one())

    def get(self, experiment_id: int, *, owner: str | None) -> LabExperiment:
        """One experiment; owner None is anybody's. Raises ExperimentNotFound."""
        row = self._row(_select(experiment_id, owner))
        if row is None:
            raise unknown(experiment_id)
        return _read(row)

    def page(
        self, *, limit: int, offset: int, owner: str | None, wanted: LabFilter
    ) -> tuple[int, Sequence[LabExperiment]]:
        """How many there are, and some of them. owner: None is everybody's."""
        query = select(lab_experiments)
        if owner is not None:
            query = query.where(lab_experiments.c.owner == owner)
        query = wanted.applied(query, lab_experiments, searched=("name", "description", "prompt"))
        total, rows = self._page(query, limit=limit, offset=offset)
        return total, [_read(row) for row in rows]

    def answered(
        self, *, owner: str | None, since: datetime, limit: int
    ) -> tuple[int, Sequence[AnsweredExperiment]]:
        """How many have generated and changed since a moment, and the newest. owner: None is everybody's."""
        table = lab_experiments.c
        columns = [table.id, table.name, table.status, table.started_at, table.created_at]  # no prompts
        query = select(*columns).where(table.total > 0, table.updated_at >= since)
        if owner is not None:
            query = query.where(table.owner == owner)
        total, rows = self._page(query.order_by(table.id.desc()), limit=limit, offset=0)
        return total, [AnsweredExperiment.of(row) for row in rows]

    def change(self, experiment_id: int, values: Mapping[str, Any], *, number: int | None = None) -> bool:
        """Write columns of its owner's; False where it is gone, or past the number."""
        table = lab_experiments.c
        where = [table.id == experiment_id, *([] if number is None else [table.number == number])]
        row = {**_encoded(values), "updated_at": now(), "number": table.number + 1}
        return self._change(update(lab_experiments).where(*where).values(row)) > 0

    def remove(self, experiment_id: int, *, number: int | None = None) -> bool:
        """Forget one with its answers; False where it runs, is gone, or is past the number."""
        table = lab_experiments.c
        where = [table.id == experiment_id, table.status != RUNNING]
        where += [] if number is None else [table.number == number]
        return self._change(delete(lab_experiments).where(*where)) > 0

    def claim(
        self, experiment_id: int, *, session: str, model: str, total: int, done: int, number: int | None = None
    ) -> LabExperiment:
        """Make it running. done: cells that have an answer already. number: only in that state, of which they are.

        Raises Conflict while it runs, or past the number.
        """
        table, moment = lab_experiments.c, now()
        free = or_(table.status != RUNNING, table.beat_at < moment - timedelta(seconds=SILENT_S))
        if number is not None:
            free &= table.number == number
        values = {
            "status": RUNNING,
            "session": session,
            "model": model,
            "total": total,
            "completed": done,
            "failed": 0,
            "current_parameters": None,
            "error_message": None,
            "beat_at": moment,
            "started_at": moment,
            "completed_at": None,
            "updated_at": moment,
            "number": table.number + 1,
        }
        with self._engine.begin() as connection:
            take_turns(connection, lab_experiments.name)
            changed = connection.execute(
                update(lab_experiments).where(table.id == experiment_id, free).values(values)
            ).rowcount
        found = self.get(experiment_id, owner=None)
        if not changed and found.status != RUNNING:
            raise Conflict(f"The experiment {experiment_id} has just changed", hint="send the request again")
        if not changed:
            raise Conflict(f"The experiment {experiment_id} is running", hint="its progress says how far it is")
        return found

    def beat(self, experiment_id: int, session: str) -> bool:
        """Say that its gateway lives; False when it is no longer this session's."""
        return self._change(update(lab_experiments).where(_held(experiment_id, session)).values(beat_at=now())) > 0

    def finish(
        self, experiment_id: int, session: str | None, *, status: str, error_message: str | None = None
    ) -> bool:
        """End the running one; False when it was not running any more. session: None is any."""
        message = None if error_message is None else storable(error_message)
        moment = now()
        values = {"status": status, "error_message": message, "completed_at": moment, "updated_at": moment}
        row = {**values, "current_parameters": None, "number": lab_experiments.c.number + 1}
        return self._change(update(lab_experiments).where(_held(experiment_id, session)).values(row)) > 0

    def fail_silent(self, experiment_id: int) -> bool:
        """End one whose gateway has not beaten for long; False where it is not such a one."""
        table, moment = lab_experiments.c, now()
        change = update(lab_experiments).where(
            table.id == experiment_id,
            table.status == RUNNING,
            table.beat_at < moment - timedelta(seconds=SILENT_S),
        )
        message = "the gateway that generated it is gone; generate again to go on"
        values = {"status": FAILED, "error_message": message, "completed_at": moment, "updated_at": moment}
        return self._change(change.values(number=table.number + 1, **values)) > 0


def advanced(experiment_id: int, session: str, *, completed: int, failed: int, current: Mapping[str, Any]) -> Any:
    """The statement that notes how far a running one is; it changes no row when that is another session's."""
    table, moment = lab_experiments.c, now()
    values = {"completed": completed, "failed": failed, "current_parameters": json.dumps(dict(current))}
    return (
        update(lab_experiments)
        .where(_held(experiment_id, session))
        .values(number=table.number + 1, beat_at=moment, updated_at=moment, **values)
    )


def unknown(experiment_id: int) -> ExperimentNotFound:
    """The error for an experiment that its asker cannot see."""
    return ExperimentNotFound(f"No experiment with the id {experiment_id}", hint="GET /api/experiments lists them")


def _held(experiment_id: int, session: str | None) -> Any:
    table = lab_experiments.c
    held = (table.id == experiment_id) & (table.status == RUNNING)
    return held if session is None else held & (table.session == session)


def _select(experiment_id: int, owner: str | None) -> Any:
    query = select(lab_experiments).where(lab_experiments.c.id == experiment_id)
    return query if owner is None else query.where(lab_experiments.c.owner == owner)


def _encoded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "tags": json.dumps(list(values["tags"]))} if "tags" in values else dict(values)


def _read(row: Row[Any]) -> LabExperiment:
    fields = dict(row._mapping)
    current = fields["current_parameters"]
    fields |= {"tags": json.loads(fields["tags"]), "current_parameters": current and json.loads(current)}
    return LabExperiment(**fields)
