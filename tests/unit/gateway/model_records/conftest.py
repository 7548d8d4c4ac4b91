"""Books of records over databases in memory."""

from collections.abc import Iterator

import pytest

from cluster.stores.database import engine_of
from cluster.stores.model_records import ModelRecords
from deployments.gateway.model_records.book import Book


@pytest.fixture
def store() -> Iterator[ModelRecords]:
    engine = engine_of("sqlite://")
    yield ModelRecords(engine)
    engine.dispose()


@pytest.fixture
def database_book(store: ModelRecords) -> Book:
    return Book(store)
