"""What a gateway counts reaches the database, in batches, whatever the database does meanwhile."""

import asyncio
from collections.abc import Sequence

import pytest

from cluster.errors import DatabaseAway, Unavailable
from cluster.stores.model_records import Addition, ModelRecords
from cluster.types import LoadedModel, ModelState, Usage
from deployments.gateway.model_records import book as books
from deployments.gateway.model_records.book import Book
from deployments.gateway.model_records.visit import Visited
from tests.unit.waiting import until

ANSWERED = Visited(
    model="echo",
    outcome="answered",
    response_s=0.25,
    usage=Usage(prompt_tokens=2, completion_tokens=3),
    estimated=True,
)
FAILED = Visited(model="echo", outcome="failed", error="engine_dead")


class Away(ModelRecords):
    """A database that is away, or that says so after it has stored all."""

    away = True
    deaf = False

    def add(self, addition: Addition) -> None:
        if self.away and not self.deaf:
            raise DatabaseAway("gone")
        super().add(addition)
        if self.away:
            raise DatabaseAway("gone before it answered")


@pytest.fixture
def away(store: ModelRecords) -> Away:
    return Away(store._engine)


def row(name: str, state: ModelState = ModelState.READY) -> LoadedModel:
    return LoadedModel(
        id=name, state=state, engine="scripted", device="cpu", replicas=1, memory_gib=0.5, in_use=1, waiting=0,
        pinned=False, fixed=False, used_at=1.0, until=None, load_s=2.0, loaded_at=86_400.0,
    )  # fmt: skip


async def test_visits_are_summed_and_added_in_one_batch(store: ModelRecords) -> None:
    book = Book(store)
    for visited in (ANSWERED, ANSWERED, FAILED):
        book.add(visited)
    assert store.of() == {}
    await book.flush()
    sums = store.of()["echo"].sums
    assert (sums.requests, sums.outcomes, sums.errors) == (3, {"answered": 2, "failed": 1}, {"engine_dead": 1})
    assert (sums.prompt_tokens, sums.completion_tokens, sums.estimated, sums.response_s) == (4, 6, 2, 0.5)


async def test_two_gateways_add_up(store: ModelRecords) -> None:
    for book in (Book(store), Book(store)):
        book.add(ANSWERED)
        await book.flush()
    assert store.of()["echo"].sums.requests == 2


async def test_sums_are_added_without_anybody_asking(store: ModelRecords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(books, "FLUSH_S", 0.002)
    Book(store).add(ANSWERED)
    await until(lambda: store.of().get("echo"))


async def test_a_database_that_is_away_loses_nothing(away: Away) -> None:
    book = Book(away)
    for _ in range(2):
        book.add(ANSWERED)
        with pytest.raises(DatabaseAway):
            await book.flush()
    away.away = False
    book.add(FAILED)
    await book.flush()
    assert away.of()["echo"].sums.requests == 3


async def test_a_commit_that_was_not_heard_of_counts_once(away: Away) -> None:
    book, away.deaf = Book(away), True
    book.add(ANSWERED)
    with pytest.raises(DatabaseAway):
        await book.flush()
    away.away = False
    book.add(ANSWERED)
    await book.flush()
    assert away.of()["echo"].sums.requests == 2


async def test_a_full_buffer_drops_further_models_and_no_request(
    away: Away, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(books, "MOST_SUMS", 2)
    book = Book(away)
    for name in ("a", "b", "c", "d", "a"):
        book.add(Visited(model=name, outcome="answered"))
    away.away = False
    await book.flush()
    assert {name: record.sums.requests for name, record in away.of().items()} == {"a": 2, "b": 1}
    assert len(caplog.records) == 1


def test_a_name_that_nobody_knows_any_more_is_kept_as_it_is(store: ModelRecords) -> None:
    book = Book(store, name_of={"org/Echo": "echo"}.get)
    assert (book.name_of("org/Echo"), book.name_of("removed")) == ("echo", "removed")


async def test_what_the_fleet_says_of_a_load_is_stored_with_the_models_that_were_used(store: ModelRecords) -> None:
    async def loaded() -> Sequence[LoadedModel]:
        return (row("echo"), row("idle"))

    book = Book(store, loaded=loaded)
    book.add(ANSWERED)
    await book.flush(ask_fleet=True)
    records = store.of()
    assert set(records) == {"echo"}
    load = records["echo"].load
    assert load is not None
    assert (load.load_s, load.memory_gib) == (2.0, 0.5)
    assert load.loaded_at is not None
    assert load.loaded_at.timestamp() == 86_400.0


async def test_a_model_that_is_still_loading_has_no_load_yet(store: ModelRecords) -> None:
    async def loaded() -> Sequence[LoadedModel]:
        return (row("echo", ModelState.LOADING),)

    book = Book(store, loaded=loaded)
    book.add(FAILED)
    await book.flush(ask_fleet=True)
    assert store.of()["echo"].load is None


async def test_a_fleet_that_does_not_answer_keeps_no_record_back(store: ModelRecords) -> None:
    async def loaded() -> Sequence[LoadedModel]:
        raise Unavailable("being replaced")

    book = Book(store, loaded=loaded)
    book.add(ANSWERED)
    await book.flush(ask_fleet=True)
    assert store.of()["echo"].load is None


async def test_a_gateway_that_ends_while_it_asks_the_fleet_loses_nothing(
    store: ModelRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asyncio.Event()

    async def silent() -> Sequence[LoadedModel]:
        asked.set()
        await asyncio.Event().wait()
        return ()

    monkeypatch.setattr(books, "FLUSH_S", 0.0)
    monkeypatch.setattr(books, "ASK_FLEET_S", 60.0)
    book = Book(store, loaded=silent)
    book.add(ANSWERED)
    await asked.wait()
    book.add(ANSWERED)
    await book.close()
    assert store.of()["echo"].sums.requests == 2


async def test_a_book_without_a_database_counts_nothing() -> None:
    book = Book()
    book.add(ANSWERED)
    await book.flush()
    assert asyncio.all_tasks() == {asyncio.current_task()}  # nor does it wait to
