"""New databases of SQLite with their tables in place, copied from the first one that was made in this process.

Making them takes longer than most tests. A database that has anything in it is brought up to date as ever, and all
are in the tests of the stores themselves.
"""

import sqlite3

from sqlalchemy import Connection, MetaData

from cluster.stores import database
from cluster.stores.schema import bring_up_to_date

_first: dict[frozenset[str], sqlite3.Connection] = {}  # by the names of their tables: more stores may come


def install() -> None:
    """Have all new databases of this process made so."""
    database.bring_up_to_date = _brought_up_to_date  # type: ignore[attr-defined]


def _brought_up_to_date(connection: Connection, metadata: MetaData) -> None:
    to = connection.connection.dbapi_connection
    if not isinstance(to, sqlite3.Connection) or to.execute("SELECT 1 FROM sqlite_master").fetchone():
        bring_up_to_date(connection, metadata)
        return
    tables = frozenset(metadata.tables)
    if tables in _first:
        _first[tables].backup(to)
    else:
        bring_up_to_date(connection, metadata)
        _first[tables] = sqlite3.connect(":memory:", check_same_thread=False)
        to.backup(_first[tables])
