"""What came of the requests to each model, a row a model and day, counted together by all gateways.

A gateway adds what it has counted since it last did; nothing is ever overwritten, so gateways need not know of
each other. Each addition has a number, and one that is sent again, because its commit was not heard of, changes
nothing. Percentiles come from counts in buckets (`log_buckets`), which add up as all else does.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Float, Integer, String, Table, case, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from cluster.stores.database import UtcTime, metadata, now
from cluster.stores.log_buckets import percentile
from cluster.stores.sql_store import SqlStore

DAY_S = 86_400
MOST_NAME = 256  # characters of a model's name, as `decision_events` has them
TALLIES = ("outcomes", "errors", "response", "first_token")
WRITER_DAYS = 2  # after that nobody sends an addition again

model_days = Table(
    "model_days",
    metadata,
    Column("model", String(MOST_NAME), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),  # since 1970, in UTC
    Column("requests", Integer, nullable=False),
    Column("prompt_tokens", BigInteger, nullable=False),
    Column("completion_tokens", BigInteger, nullable=False),
    Column("estimated", Integer, nullable=False),
    Column("response_s", Float, nullable=False),
    Column("first_token_s", Float, nullable=False),
    Column("last_used_at", UtcTime, nullable=False),
)

model_tallies = Table(  # how often something was seen of a model on a day: an outcome, an error, a bucket of time
    "model_tallies",
    metadata,
    Column("model", String(MOST_NAME), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("tally", String(16), primary_key=True),
    Column("seen", String(64), primary_key=True),
    Column("count", Integer, nullable=False),
)

model_loads = Table(  # a model's last load that somebody saw
    "model_loads",
    metadata,
    Column("model", String(MOST_NAME), primary_key=True),
    Column("load_s", Float),
    Column("loaded_at", UtcTime),
    Column("memory_gib", Float),
)

model_record_writers = Table(
    "model_record_writers",
    metadata,
    Column("writer", String(64), primary_key=True),
    Column("number", Integer, nullable=False),  # of the last addition
    Column("day", Integer, nullable=False),
)


@dataclass(slots=True, kw_only=True)
class Sums:
    """What was counted of one model. estimated: requests whose tokens no engine told, so they are an estimate.

    outcomes: `answered`, `failed`, `refused`, `rejected`, `cancelled`. errors: of what was not answered, by code.
    response, first_token: counts by bucket; their seconds are summed beside them. used_at: Unix seconds.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    response_s: float = 0.0
    first_token_s: float = 0.0
    used_at: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)
    response: dict[int, int] = field(default_factory=dict)
    first_token: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLoad:
    """A model's last load. load_s: how long it took; None is unknown."""

    load_s: float | None = None
    loaded_at: datetime | None = None
    memory_gib: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """What one gateway has counted since its addition before. sums: by model and day."""

    writer: str
    number: int
    sums: Mapping[tuple[str, int], Sums]
    loads: Mapping[str, LastLoad] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """All that was counted of a model. load: None where nobody saw it load. Times are None where none was taken."""

    model: str
    sums: Sums
    load: LastLoad | None = None

    @property
    def error_count(self) -> int:
        """Requests that the model, or what serves it, failed on."""
        return self.sums.outcomes.get("failed", 0)

    @property
    def last_used_at(self) -> datetime | None:
        """When the last of the requests ended."""
        return datetime.fromtimestamp(self.sums.used_at, UTC) if self.sums.used_at else None

    @property
    def mean_response_s(self) -> float | None:
        """Of the answered requests."""
        return _mean(self.sums.response_s, self.sums.response)

    @property
    def p95_response_s(self) -> float | None:
        """The same of the slowest twentieth, within log_buckets.ERROR."""
        return percentile(self.sums.response, 0.95)

    @property
    def mean_first_token_s(self) -> float | None:
        """Of the streams that began."""
        return _mean(self.sums.first_token_s, self.sums.first_token)

    @property
    def p95_first_token_s(self) -> float | None:
        """The same of the slowest twentieth, within log_buckets.ERROR."""
        return percentile(self.sums.first_token, 0.95)


class ModelRecords(SqlStore):
    """The records of all gateways."""

    def add(self, addition: Addition) -> None:
        """Add what a gateway has counted; the same addition again changes nothing."""
        with self._engine.begin() as connection:
            if not _is_new(connection, addition):
                return
            # Every gateway takes the rows in one order, so that two never wait for each other.
            sums = sorted(addition.sums.items())
            _add(connection, model_days, [_day_row(model, day, one) for (model, day), one in sums])
            _add(
                connection, model_tallies, [row for (model, day), one in sums for row in _tallies(model, day, one)]
            )
            for model, load in sorted(addition.loads.items()):
                _replace_load(connection, model, load)

    def of(self, models: Collection[str] | None = None, *, days: int | None = None) -> dict[str, ModelRecord]:
        """The records of those models that have one, None for all. days: the last so many, None for all kept."""
        first = 0 if days is None else today() - days + 1
        with self._engine.connect() as connection:
            found: dict[str, Sums] = defaultdict(Sums)
            for row in connection.execute(_since(model_days, models, first)):
                _take_day(found[row.model], row)
            for row in connection.execute(_since(model_tallies, models, first)):
                counts = getattr(found[row.model], row.tally)
                seen = row.seen if row.tally in ("outcomes", "errors") else int(row.seen)
                counts[seen] = counts.get(seen, 0) + row.count
            loads = {
                row.model: LastLoad(load_s=row.load_s, loaded_at=row.loaded_at, memory_gib=row.memory_gib)
                for row in connection.execute(_of(model_loads, models))
            }
        names = sorted({*found, *loads})
        return {name: ModelRecord(model=name, sums=found[name], load=loads.get(name)) for name in names}

    def prune(self, *, keep_days: int) -> None:
        """Drop the days before the last so many."""
        with self._engine.begin() as connection:
            for table in (model_days, model_tallies):
                connection.execute(delete(table).where(table.c.day <= today() - keep_days))
            writers = model_record_writers
            connection.execute(delete(writers).where(writers.c.day <= today() - WRITER_DAYS))


def today() -> int:
    """This day in UTC, counted from 1970."""
    return int(time.time()) // DAY_S


def _is_new(connection: Connection, addition: Addition) -> bool:
    table = model_record_writers
    new = _insert(connection, table).values(writer=addition.writer, number=addition.number, day=today())
    told = new.on_conflict_do_update(
        index_elements=[table.c.writer],
        set_={"number": new.excluded.number, "day": new.excluded.day},
        where=table.c.number < new.excluded.number,
    )
    return connection.execute(told).rowcount > 0


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, or add their figures to those that are there; of a moment the later one is kept."""
    if not rows:
        return
    new = _insert(connection, table)
    changed: dict[str, Any] = {}
    for column in table.columns:
        if not column.primary_key:
            added = new.excluded[column.name]
            later = case((column < added, added), else_=column)
            changed[column.name] = later if isinstance(column.type, UtcTime) else column + added
    adding = new.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=changed)
    connection.execute(adding, rows)


def _replace_load(connection: Connection, model: str, load: LastLoad) -> None:
    figures = {"load_s": load.load_s, "loaded_at": load.loaded_at, "memory_gib": load.memory_gib}
    known = {name: figure for name, figure in figures.items() if figure is not None}
    if known:
        new = _insert(connection, model_loads).values(model=model, **known)
        connection.execute(new.on_conflict_do_update(index_elements=[model_loads.c.model], set_=known))


def _insert(connection: Connection, table: Table) -> Any:
    return {"sqlite": sqlite.insert, "postgresql": postgresql.insert}[connection.dialect.name](table)


def _day_row(model: str, day: int, sums: Sums) -> dict[str, Any]:
    return {
        "model": model[:MOST_NAME],
        "day": day,
        "requests": sums.requests,
        "prompt_tokens": sums.prompt_tokens,
        "completion_tokens": sums.completion_tokens,
        "estimated": sums.estimated,
        "response_s": sums.response_s,
        "first_token_s": sums.first_token_s,
        "last_used_at": datetime.fromtimestamp(sums.used_at, UTC) if sums.used_at else now(),
    }


def _tallies(model: str, day: int, sums: Sums) -> Iterable[dict[str, Any]]:
    for tally in TALLIES:
        counts: dict[object, int] = getattr(sums, tally)
        for seen, count in sorted((str(key), count) for key, count in counts.items()):
            yield {"model": model[:MOST_NAME], "day": day, "tally": tally, "seen": seen[:64], "count": count}


def _take_day(sums: Sums, row: Any) -> None:
    sums.requests += row.requests
    sums.prompt_tokens += row.prompt_tokens
    sums.completion_tokens += row.completion_tokens
    sums.estimated += row.estimated
    sums.response_s += row.response_s
    sums.first_token_s += row.first_token_s
    sums.used_at = max(sums.used_at, row.last_used_at.timestamp())


def _of(table: Table, models: Collection[str] | None) -> Any:
    query = select(table)
    return query if models is None else query.where(table.c.model.in_(list(models)))


def _since(table: Table, models: Collection[str] | None, first: int) -> Any:
    return _of(table, models).where(table.c.day >= first)


def _mean(seconds: float, counts: Mapping[int, int]) -> float | None:
    count = sum(counts.values())
    return seconds / count if count else None
