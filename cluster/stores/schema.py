"""The tables of a database: made where they are missing, completed where an older version made them.

What was added since is added: tables, indexes, and columns that are nullable or have a server's default, which
older versions can live with. A change that they cannot live with raises VERSION; a database of a higher version
than ours is refused.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Column, Connection, Integer, MetaData, Table, insert, select, text
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable
from sqlalchemy.sql.base import Executable

from cluster.errors import StartFailed

VERSION = 1
LOCK = 0x48454C49  # any number that all our processes agree on

versions = Table("schema_version", MetaData(), Column("version", Integer, nullable=False))  # one row

COLUMNS = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    "postgresql": "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = current_schema()",
}
INDEXES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index'",
    "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()",
}
# IF NOT EXISTS alone can fail where two sessions create a table together, and a column has none in SQLite.
ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": f"SELECT pg_advisory_xact_lock({LOCK})"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a database has: the columns of each table, and the indexes, all by name."""

    columns: dict[str, set[str]]
    indexes: set[str]


def bring_up_to_date(connection: Connection, metadata: MetaData) -> None:
    """Make what is missing of the tables; any number of processes may do so at once. Raises StartFailed."""
    missing = list(_missing(connection, metadata))
    connection.rollback()
    if not missing:
        return
    with connection.begin():
        connection.exec_driver_sql(ALONE[connection.dialect.name])
        for change in list(_missing(connection, metadata)):  # another process may have made some of it meanwhile
            connection.execute(change)


def _missing(connection: Connection, metadata: MetaData) -> Iterator[Executable]:
    found = _look(connection)
    if versions.name not in found.columns:
        yield CreateTable(versions)
        yield insert(versions).values(version=VERSION)
    else:
        _refuse_newer(connection)
    for table in metadata.sorted_tables:
        if table.name not in found.columns:
            yield CreateTable(table)
        else:
            for column in table.columns:
                if column.name not in found.columns[table.name]:
                    yield _added(connection, table, column)
        for index in table.indexes:
            if index.name not in found.indexes:
                yield CreateIndex(index)


def _look(connection: Connection) -> Found:
    dialect = connection.dialect.name
    columns: dict[str, set[str]] = defaultdict(set)
    for table, column in connection.exec_driver_sql(COLUMNS[dialect]):
        columns[table].add(column)
    return Found(columns=columns, indexes=set(connection.exec_driver_sql(INDEXES[dialect]).scalars()))


def _refuse_newer(connection: Connection) -> None:
    version = connection.execute(select(versions.c.version)).scalar_one()
    if version > VERSION:
        shown = connection.engine.url.render_as_string(hide_password=True)
        raise StartFailed(
            f"stores.database: {shown} was written by a newer Heliostat: its schema is {version}, ours {VERSION}",
            hint="start the newer version, or restore the backup from before it",
        )


def _added(connection: Connection, table: Table, column: "Column[object]") -> Executable:
    if not column.nullable and column.server_default is None:
        raise StartFailed(
            f"stores.database: the table {table.name} lacks the column {column.name}, which cannot be added",
            hint="restore a backup, or start with an empty database",
        )
    dialect = connection.dialect
    name = dialect.identifier_preparer.format_table(table)
    return text(f"ALTER TABLE {name} ADD COLUMN {CreateColumn(column).compile(dialect=dialect)}")
