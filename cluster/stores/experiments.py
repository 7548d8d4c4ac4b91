"""Batch experiments in the SQL database: what was asked, and how far it is. Results are in Parquet.

A change of state is one UPDATE that names the states it may come from, so that of two processes that start
the same experiment one wins.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    Row,
    String,
    Table,
    Text,
    delete,
    false,
    insert,
    select,
    update,
)

from cluster.errors import Conflict, ExperimentNotFound
from cluster.stores.database import OWNER, UtcTime, metadata, now, storable, take_turns
from cluster.stores.lab_filter import LabFilter
from cluster.stores.sql_store import SqlStore

PENDING, RUNNING, COMPLETED, FAILED, CANCELLED = "pending", "running", "completed", "failed", "cancelled"

LOCAL_OWNER = "local"
RECENT = 20  # experiments that are asked how fast they were

batch_experiments = Table(
    "batch_experiments",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    # What is older than owners is of whoever asks where authentication is off.
    Column("owner", String(OWNER), nullable=False, server_default=LOCAL_OWNER),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("spec", Text, nullable=False),  # JSON: models, prompts, parameters, repeats
    Column("run_id", String(32), nullable=False),
    Column("status", String(16), nullable=False, default=PENDING),
    Column("submission_id", String(64)),
    Column("total_combinations", Integer, nullable=False),
    Column("completed_combinations", Integer, nullable=False, default=0),
    Column("failed_combinations", Integer, nullable=False, default=0),
    Column("cells_per_minute", Float),
    Column("current_parameters", Text),  # JSON
    Column("results_summary", Text),  # JSON
    Column("estimated_completion", UtcTime),
    Column("error_message", Text),
    Column("started_at", UtcTime),
    Column("completed_at", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("tags", Text, nullable=False, server_default="[]"),  # JSON
    Column("favorited", Boolean, nullable=False, server_default=false()),
    Column("archived", Boolean, nullable=False, server_default=false()),
    Column("number", Integer, nullable=False, server_default="1"),  # counts its changes: of events, and ETags
    Index("batch_experiments_run", "run_id"),
    Index("batch_experiments_owner", "owner", "id"),
    sqlite_autoincrement=True,  # an id of a deleted experiment never comes back
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment:
    """One batch experiment. completed_combinations: cells that have a row, failed ones included.

    cells_per_minute: of the last session that ran. spec: JSON. run_id: the folder of its results. number: counts
    its changes, from 1.
    """

    id: int
    owner: str
    name: str
    description: str
    spec: str
    run_id: str
    status: str
    submission_id: str | None
    total_combinations: int
    completed_combinations: int
    failed_combinations: int
    cells_per_minute: float | None
    current_parameters: Mapping[str, Any] | None
    results_summary: Mapping[str, Any] | None
    estimated_completion: datetime | None
    error_message: str | None
    started_at: datetime | None
    completed_at: datetime | None
    created_at: datetime
    updated_at: datetime
    tags: Sequence[str]
    favorited: bool
    archived: bool
    number: int

    @property
    def progress(self) -> int:
        """Percent of the cells that have a row, 0 to 100; 100 only when all have."""
        return 100 * self.completed_combinations // max(1, self.total_combinations)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """Where the rows of one batch experiment are. began_at: its last start; its creation, before the first."""

    id: int
    name: str
    run_id: str
    status: str
    completed_combinations: int
    began_at: datetime

    @classmethod
    def of(cls, found: Any) -> "StoredRun":
        """Of an Experiment, or of a row of its columns."""
        return cls(
            id=found.id,
            name=found.name,
            run_id=found.run_id,
            status=found.status,
            completed_combinations=found.completed_combinations,
            began_at=found.started_at or found.created_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a running sweep is, as its driver sees it. summary: the API's `results_preview`."""

    completed: int
    failed: int
    cells_per_minute: float | None
    current_parameters: Mapping[str, Any] | None
    summary: Mapping[str, Any] | None
    estimated_completion: datetime | None


class Experiments(SqlStore):
    """The experiments of one database."""

    def create(
        self, *, name: str, description: str, spec: str, run_id: str, total: int, owner: str = LOCAL_OWNER
    ) -> Experiment:
        """Store a new one, pending."""
        moment = now()
        values = {
            "owner": owner,
            "name": name,
            "description": description,
            "spec": spec,
            "run_id": run_id,
            "total_combinations": total,
            "created_at": moment,
            "updated_at": moment,
        }
        with self._engine.begin() as connection:
            made = connection.execute(insert(batch_experiments).values(values))
            key = made.inserted_primary_key
            assert key is not None
            return _read(connection.execute(_select(key[0])).one())

    def get(self, experiment_id: int, *, owner: str | None = None) -> Experiment:
        """One experiment; of an owner, where one is named. Raises ExperimentNotFound."""
        query = _select(experiment_id)
        row = self._row(query if owner is None else query.where(batch_experiments.c.owner == owner))
        if row is None:
            raise _unknown(experiment_id)
        return _read(row)

    def page(
        self, *, limit: int, offset: int, owner: str | None = None, wanted: LabFilter | None = None
    ) -> tuple[int, Sequence[Experiment]]:
        """How many there are, of an owner where one is named, and some of them, the newest first by default."""
        wanted = wanted or LabFilter()
        query = wanted.applied(select(batch_experiments), batch_experiments, searched=("name", "description"))
        if owner is not None:
            query = query.where(batch_experiments.c.owner == owner)
        total, rows = self._page(query, limit=limit, offset=offset)
        return total, [_read(row) for row in rows]

    def claim(self, experiment_id: int, submission_id: str) -> Experiment:
        """Make it running. Raises Conflict where it, or another experiment of the same cells, already is."""
        other = batch_experiments.alias()
        run_id = select(other.c.run_id).where(other.c.id == experiment_id).scalar_subquery()
        busy = select(other.c.id).where(other.c.run_id == run_id, other.c.status == RUNNING).exists()
        moment = now()
        change = (
            update(batch_experiments)
            .where(batch_experiments.c.id == experiment_id, ~busy)
            .values(
                status=RUNNING,
                submission_id=submission_id,
                started_at=moment,
                updated_at=moment,
                completed_at=None,
                error_message=None,
                estimated_completion=None,
                number=batch_experiments.c.number + 1,
            )
        )
        with self._engine.begin() as connection:
            take_turns(connection, batch_experiments.name)  # or two of the same cells would each see none running
            changed = connection.execute(change).rowcount
        found = self.get(experiment_id)
        if not changed:
            itself = found.status == RUNNING
            who = f"The experiment {experiment_id}" if itself else "An experiment with the same cells"
            raise Conflict(f"{who} is running", hint="its status says how far; DELETE cancels it")
        return found

    def advance(self, experiment_id: int, submission_id: str | None, standing: Standing) -> bool:
        """Note how far the running one is; False when it is no longer this driver's to note."""
        return self._note(
            experiment_id,
            submission_id,
            completed_combinations=standing.completed,
            failed_combinations=standing.failed,
            cells_per_minute=standing.cells_per_minute,
            current_parameters=_json(standing.current_parameters),
            results_summary=_json(standing.summary),
            estimated_completion=standing.estimated_completion,
        )

    def finish(
        self, experiment_id: int, submission_id: str | None, *, status: str, error_message: str | None = None
    ) -> bool:
        """End the running one as completed, failed or cancelled; False when it was not running any more."""
        return self._note(
            experiment_id,
            submission_id,
            status=status,
            error_message=None if error_message is None else storable(error_message),
            completed_at=now(),
            estimated_completion=None,
        )

    def label(self, experiment_id: int, values: Mapping[str, Any], *, number: int | None = None) -> bool:
        """Change name, description, tags, favorited or archived; False where it is gone, or past the number."""
        table = batch_experiments.c
        row = {**values, "tags": json.dumps(list(values["tags"]))} if "tags" in values else dict(values)
        change = update(batch_experiments).where(table.id == experiment_id)
        if number is not None:
            change = change.where(table.number == number)
        return self._change(change.values(updated_at=now(), number=table.number + 1, **row)) > 0

    def recent(self, *, owner: str | None, since: datetime, limit: int) -> tuple[int, Sequence[StoredRun]]:
        """How many have stored cells and changed since a moment, and the newest. owner: None is everybody's.

        Without their specs: one may hold a million prompts.
        """
        table = batch_experiments.c
        columns = [table.id, table.name, table.run_id, table.status, table.completed_combinations, table.created_at]
        query = select(*columns, table.started_at).where(
            table.completed_combinations > 0, table.updated_at >= since
        )
        if owner is not None:
            query = query.where(table.owner == owner)
        total, rows = self._page(query.order_by(table.id.desc()), limit=limit, offset=0)
        return total, [StoredRun.of(row) for row in rows]

    def remove(self, experiment_id: int, *, number: int | None = None) -> bool:
        """Forget one that is not running; False when it is running, gone, or past the number."""
        table = batch_experiments.c
        where = [table.id == experiment_id, table.status != RUNNING]
        where += [] if number is None else [table.number == number]
        return self._change(delete(batch_experiments).where(*where)) > 0

    def pace(self, models: Sequence[str]) -> float | None:
        """Cells a minute of the last experiment over the same models; None where none of the recent ones was."""
        table = batch_experiments.c
        query = (
            select(table.spec, table.cells_per_minute)
            .where(table.cells_per_minute.is_not(None))
            .order_by(table.updated_at.desc())
            .limit(RECENT)
        )
        recent = self._rows(query)
        return next((float(pace) for spec, pace in recent if set(json.loads(spec)["models"]) == set(models)), None)

    def _note(self, experiment_id: int, submission_id: str | None, **values: Any) -> bool:
        table = batch_experiments.c
        where = [table.id == experiment_id, table.status == RUNNING]
        if submission_id is not None:
            where.append(table.submission_id == submission_id)
        change = update(batch_experiments).where(*where).values(updated_at=now(), number=table.number + 1, **values)
        return self._change(change) > 0


def _select(experiment_id: int) -> Any:
    return select(batch_experiments).where(batch_experiments.c.id == experiment_id)


def _read(row: Row[Any]) -> Experiment:
    fields = dict(row._mapping)
    for name in ("current_parameters", "results_summary", "tags"):
        fields[name] = None if fields[name] is None else json.loads(fields[name])
    return Experiment(**fields)


def _json(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value)


def _unknown(experiment_id: int) -> ExperimentNotFound:
    hint = "GET /api/experiments/batch lists all"
    return ExperimentNotFound(f"No experiment with the id {experiment_id}", hint=hint)
