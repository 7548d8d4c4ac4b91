"""The SQL database: what changes. SQLite under the home by default, PostgreSQL by URL, `sqlite://` in memory.

Several processes use it at once: SQLite runs in WAL mode with a busy timeout. All calls block; an async caller
makes them in a thread.
"""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, OperationalError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.types import DateTime, TypeDecorator

from cluster.errors import SettingsError

metadata = MetaData()
BUSY_MS = 10_000  # a writer holds SQLite's lock for milliseconds; seconds of waiting means a stuck process
SCHEMA_LOCK = 0x48454C49  # any number that all our processes agree on


class UtcTime(TypeDecorator[datetime]):
    """A moment, always aware and in UTC: SQLite forgets time zones."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """To the database: naive, in UTC."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Any) -> datetime | None:  # noqa: ARG002
        """From the database: aware."""
        return None if value is None else value.replace(tzinfo=UTC)


def open_database(url: str) -> Engine:
    """A database with the tables of all imported stores in place. Raises SettingsError where it cannot be used."""
    try:
        parsed = make_url(url)
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": BUSY_MS / 1000, "check_same_thread": False}
            if parsed.database in (None, "", ":memory:"):
                # One connection is one in-memory database; the pool hands it to one thread at a time.
                options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
            else:
                Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
        raise SettingsError(
            f"stores.database: cannot be used: {error}", hint="sqlite:////path or postgresql+psycopg://user@host/db"
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    _create_tables(engine)
    return engine


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def _prepare_sqlite(connection: Any, _: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
    _patiently(lambda: cursor.execute("PRAGMA journal_mode=WAL"))
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _patiently(change: Any) -> None:
    """Changing the journal mode ignores the busy timeout, so processes that start together must take turns."""
    import sqlite3

    deadline = time.monotonic() + BUSY_MS / 1000
    while True:
        try:
            change()
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _create_tables(engine: Engine) -> None:
    """Create what is missing; any number of processes may do so at once."""
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # IF NOT EXISTS alone can fail in PostgreSQL when two sessions create a table together.
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": SCHEMA_LOCK})
            for table in metadata.sorted_tables:
                connection.execute(CreateTable(table, if_not_exists=True))
                for index in table.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
    except OperationalError as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise SettingsError(f"stores.database: {shown} cannot be opened: {error.orig}") from None
