"""The unit tests of the stores once more, over a real PostgreSQL, and what only a server can do: stop."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from cluster.stores.database import open_database
from tests.postgresql import Server, running_server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture
def shared_url(server: Server) -> str:
    return server.new_database()


@pytest.fixture
def database(shared_url: str) -> Iterator[Engine]:
    engine = open_database(shared_url)
    yield engine
    engine.dispose()
