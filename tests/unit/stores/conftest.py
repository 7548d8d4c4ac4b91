"""The databases of the stores' tests. tests/live/stores runs the same tests over PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from cluster.stores import database as databases
from cluster.stores.database import open_database
from cluster.stores.schema import bring_up_to_date


@pytest.fixture(autouse=True)
def tables_made_as_a_users_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "bring_up_to_date", bring_up_to_date)  # whatever `ready_tables` has installed


@pytest.fixture
def database() -> Iterator[Engine]:
    """One that a single test has for itself."""
    engine = open_database("sqlite://")
    yield engine
    engine.dispose()


@pytest.fixture
def shared_url(tmp_path: Path) -> str:
    """One that several processes may open: nothing is in it yet."""
    return f"sqlite:///{tmp_path / 'deep' / 'x.db'}"
