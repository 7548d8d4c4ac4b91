"""What a gateway that stops has in memory is stored, and a database that is away does not keep it from stopping."""

from pathlib import Path

import httpx
import pytest

from cluster.errors import DatabaseAway
from cluster.stores.database import engine_of
from cluster.stores.model_records import Addition, ModelRecords
from deployments.clients import Backends
from deployments.gateway.app import build_app
from deployments.gateway.model_records.book import Book
from deployments.gateway.model_records.visit import Visited
from tests.unit.gateway.conftest import settings_with, started
from tests.unit.gateway.conversations.asking import API, QUICK, Stream


async def test_answers_that_end_with_the_gateway_are_counted(tmp_path: Path) -> None:
    """The records were closed before the conversations ended their answers, and heard nothing of those."""
    url = f"sqlite:///{tmp_path / 'gateway.db'}"
    model = await started(token_delay_s=0.002, tokens=100_000)
    model.engine._context_length = 200_000
    settings = settings_with(conversations=QUICK, stores={"database": url})
    app = build_app(Backends(models={"echo": model}), settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            conversation = (await client.post(f"{API}/conversations", json={})).json()["id"]
        body = b'{"content": "one two three"}'
        reader = await Stream(app, "POST", f"{API}/conversations/{conversation}/messages", body).until(3)
    await reader.end()
    engine = engine_of(url)
    assert ModelRecords(engine).of()["echo"].sums.outcomes == {"cancelled": 1}
    engine.dispose()


async def test_without_its_database_a_gateway_stops_and_says_what_is_lost(
    store: ModelRecords, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(ModelRecords):
        def add(self, addition: Addition) -> None:
            raise DatabaseAway(f"gone with {len(addition.sums)}")

    book = Book(Away(store._engine))
    app = build_app(Backends(models={}), settings_with(), engine=store._engine, book=book)
    async with app.router.lifespan_context(app):
        book.add(Visited(model="echo", outcome="answered"))
    assert "the last requests to models are not stored: gone with 1" in caplog.text
