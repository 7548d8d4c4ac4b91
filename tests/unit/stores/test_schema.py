"""Databases of other versions: an older one is completed, a newer one is refused."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Column, Engine, Index, Integer, MetaData, String, Table, insert, inspect, select, update
from sqlalchemy.sql.schema import SchemaItem

from cluster.errors import StartFailed
from cluster.stores import schema
from cluster.stores.database import engine_of, open_database
from cluster.stores.experiments import Experiments, batch_experiments
from cluster.stores.schema import VERSION, bring_up_to_date, versions


def things(*more: SchemaItem) -> tuple[MetaData, Table]:
    metadata = MetaData()
    return metadata, Table("things", metadata, Column("id", Integer, primary_key=True), *more)


def bring(database: Engine, metadata: MetaData) -> None:
    with database.connect() as connection:
        bring_up_to_date(connection, metadata)


def test_a_new_database_has_our_version(database: Engine) -> None:
    with database.connect() as connection:
        assert connection.execute(select(versions.c.version)).all() == [(VERSION,)]


def test_what_was_added_since_is_added_and_rows_stay(database: Engine) -> None:
    before, old = things()
    bring(database, before)
    with database.begin() as connection:
        connection.execute(insert(old).values(id=7))
    after, new = things(
        Column("note", String(9)),
        Column("owner", String(9), nullable=False, server_default="local"),
        Index("things_owner", "owner"),
    )
    Table("others", after, Column("id", Integer, primary_key=True))
    bring(database, after)
    with database.connect() as connection:
        assert connection.execute(select(new)).all() == [(7, None, "local")]
    assert [index["name"] for index in inspect(database).get_indexes("things")] == ["things_owner"]
    assert inspect(database).has_table("others")
    bring(database, before)  # the older version still finds all that is its own
    with database.begin() as connection:
        connection.execute(insert(old).values(id=8))


def test_a_column_that_rows_cannot_be_given_is_refused_by_name(database: Engine) -> None:
    bring(database, things()[0])
    with pytest.raises(StartFailed, match="things lacks the column size"):
        bring(database, things(Column("size", Integer, nullable=False))[0])


def test_a_database_of_a_newer_version_is_refused_and_left_alone(shared_url: str) -> None:
    engine = open_database(shared_url)
    with engine.begin() as connection:
        connection.execute(update(versions).values(version=VERSION + 1))
    engine.dispose()
    for _ in range(2):  # a second look is refused as the first was
        with pytest.raises(StartFailed, match=f"its schema is {VERSION + 1}, ours {VERSION}"):
            open_database(shared_url)


def test_a_database_from_before_versions_is_taken_for_the_first(database: Engine) -> None:
    with database.begin() as connection:
        versions.drop(connection)
        connection.exec_driver_sql("DROP TABLE batch_experiments")
    bring(database, batch_experiments.metadata)
    assert Experiments(database).page(limit=1, offset=0)[0] == 0
    with database.connect() as connection:
        assert connection.execute(select(versions.c.version)).scalar_one() == schema.VERSION


def test_many_may_bring_one_database_up_to_date_together(shared_url: str) -> None:
    first = open_database(shared_url)
    before, _ = things()
    bring(first, before)
    first.dispose()
    after, _ = things(Column("note", String(9)), Index("things_note", "note"))

    def open_and_bring(_: int) -> None:
        engine = engine_of(shared_url)
        bring(engine, after)
        engine.dispose()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(open_and_bring, range(6)))
    brought = engine_of(shared_url)
    assert [column["name"] for column in inspect(brought).get_columns("things")] == ["id", "note"]
    assert [index["name"] for index in inspect(brought).get_indexes("things")] == ["things_note"]
    brought.dispose()
