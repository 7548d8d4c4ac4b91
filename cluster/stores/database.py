"""The SQL database: what changes. SQLite under the home by default, PostgreSQL by URL, `sqlite://` in memory.

Several processes use it at once: SQLite runs in WAL mode with a busy timeout, PostgreSQL's transactions that
check before they write take turns by `take_turns`. All calls block; an async caller makes them in a thread.
"""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import QueuePool
from sqlalchemy.types import DateTime, TypeDecorator

from cluster.errors import DatabaseAway, SettingsError, StartFailed
from cluster.stores import failures, postgresql
from cluster.stores.schema import bring_up_to_date

metadata = MetaData()
OWNER = 256  # characters of an owner's name, which PostgreSQL counts and SQLite does not
BUSY_MS = 10_000  # a writer holds SQLite's lock for milliseconds; seconds of waiting means a stuck process
KEPT_CONNECTIONS = 5
MORE_CONNECTIONS = 35  # with those, one for each thread that asyncio may ask from: nobody waits for one in vain


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


def engine_of(url: str) -> Engine:
    """The engine of a database, for a process to share. Nothing is opened before its first use.

    That finds the tables of all stores that are imported by then in place. Raises SettingsError for a URL that
    cannot be used. Of what is done with the engine, all raises DatabaseAway while the database does not answer,
    and the first raises StartFailed where the tables are another version's.
    """
    try:
        parsed = postgresql.named(make_url(url))
        engine = create_engine(parsed, **_options(parsed))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, OSError) as error:
        raise SettingsError(
            f"stores.database: cannot be used: {error}",
            hint="sqlite:////path or postgresql://user:password@host/database, with `heliostat-serve[postgresql]`",
        ) from None
    if engine.dialect.name == "sqlite":
        event.listen(engine, "do_connect", _make_folder)
        event.listen(engine, "connect", _prepare_sqlite)
    failures.translate(engine)
    event.listen(engine, "engine_connect", _Once(lambda connection: bring_up_to_date(connection, metadata)))
    return engine


def open_database(url: str) -> Engine:
    """As `engine_of`, of a database that answers now. Raises SettingsError where it does not, StartFailed."""
    engine = engine_of(url)
    try:
        engine.connect().close()
    except DatabaseAway as error:
        shown = engine.url.render_as_string(hide_password=True)
        raise SettingsError(f"stores.database: {shown} cannot be opened: {error.__cause__}") from None
    except StartFailed:
        engine.dispose()
        raise
    return engine


def take_turns(connection: Connection, *names: str) -> None:
    """Wait for the transactions that took turns by the same names, and make later ones wait for this one's end.

    For those that check rows and then write others: PostgreSQL would let two of them check the same moment.
    SQLite lets one transaction write at a time, so there a write before the check is all that is needed.
    """
    if connection.dialect.name == "postgresql":
        turn = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))")
        connection.execute(turn, {"name": "\n".join(names)})


def storable(text_: str) -> str:
    """A text in which what no database stores, NUL and lone surrogates, is replaced by U+FFFD or `?`."""
    return text_.replace("\0", "\ufffd").encode(errors="replace").decode()


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


class _Once:
    """What is done with the first connection, and with each until that has succeeded."""

    def __init__(self, work: Callable[[Connection], None]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._done = False

    def __call__(self, connection: Connection) -> None:
        if self._done:
            return
        try:
            with self._lock:
                if not self._done:
                    self._work(connection)
                    self._done = True
        except BaseException:
            connection.close()  # nobody else will: `connect` has not returned it
            raise


def _options(url: URL) -> dict[str, Any]:
    several: dict[str, Any] = {"pool_size": KEPT_CONNECTIONS, "max_overflow": MORE_CONNECTIONS}
    if url.get_backend_name() == "postgresql":
        # Before each use a connection is tried: the server may have been started anew.
        return {**several, "pool_pre_ping": True, "connect_args": postgresql.connect_args(url)}
    if url.get_backend_name() != "sqlite":
        raise ArgumentError(f"{url.get_backend_name()} is neither SQLite nor PostgreSQL")
    if url.database in (None, "", ":memory:"):
        # One connection is one in-memory database; the pool hands it to one thread at a time.
        several = {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
    return {**several, "connect_args": {"timeout": BUSY_MS / 1000, "check_same_thread": False}}


def _make_folder(dialect: Any, record: Any, names: list[str], options: Any) -> None:  # noqa: ARG001 - SQLAlchemy's
    if names[0] != ":memory:":
        with suppress(OSError):  # SQLite says what cannot be opened
            Path(names[0]).parent.mkdir(parents=True, exist_ok=True)


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
