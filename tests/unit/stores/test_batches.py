"""Batches in the database: which job has one, and how many run at once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from cluster.errors import BatchNotFound
from cluster.stores.batches import CANCELLED, COMPLETED, FAILED, Batch, Batches, Ending
from cluster.stores.database import open_database


@pytest.fixture
def batches(database: Engine) -> Batches:
    return Batches(database)


def make(batches: Batches, batch_id: str = "batch_1", **changes: object) -> Batch:
    fields = {"owner": "ann", "models": None, "endpoint": "/v1/chat/completions", "input_file_id": "file-1"}
    return batches.create(batch_id=batch_id, **{**fields, **changes})  # type: ignore[arg-type]


def test_a_batch_comes_back_as_it_was_made(batches: Batches) -> None:
    made = make(batches, models=frozenset({"a", "b"}), notes={"k": "v\u0000ü"}, output_expires_s=3600)
    assert batches.get(made.id, owner="ann") == made
    assert (made.notes, made.models, made.problems) == ({"k": "v\u0000ü"}, frozenset({"a", "b"}), ())
    for batch_id, owner in ((made.id, "bob"), ("batch_\0", "ann"), ("x" * 99, "ann")):
        with pytest.raises(BatchNotFound):
            batches.get(batch_id, owner=owner)


def test_of_two_jobs_the_newer_is_heard(batches: Batches) -> None:
    make(batches)
    assert batches.claim("batch_1", "job-1", before=None, most=1)
    assert batches.claim("batch_1", "job-2", before="job-1", most=1)
    assert not batches.begin("batch_1", "job-1", total=3)
    assert batches.begin("batch_1", "job-2", total=3)
    assert batches.count("batch_1", "job-2", completed=2, failed=1, advanced=True)
    assert batches.finalize("batch_1", "job-2")
    assert not batches.finish("batch_1", "job-1", Ending(status=FAILED))
    problem = {"code": "c", "message": "m\u0000"}
    assert batches.finish("batch_1", "job-2", Ending(status=COMPLETED).because(problem))
    found = batches.get("batch_1")
    assert (found.status, found.completed, found.failed, found.problems) == (COMPLETED, 2, 1, (problem,))


def test_a_waiting_batch_is_cancelled_at_once(batches: Batches) -> None:
    make(batches)
    assert batches.cancel("batch_1")
    assert batches.get("batch_1").status == CANCELLED
    assert not batches.cancel("batch_1")


def test_pages_go_through_all_the_newest_first(batches: Batches) -> None:
    for number in range(3):
        make(batches, f"batch_{number}")
    first = batches.page(owner="ann", limit=2)
    assert ([batch.id for batch in first.batches], first.more) == (["batch_2", "batch_1"], True)
    assert [batch.id for batch in batches.page(owner="ann", limit=2, after="batch_1").batches] == ["batch_0"]


def test_gateways_that_claim_at_once_do_not_run_more_than_there_are_places(shared_url: str) -> None:
    engine = open_database(shared_url)
    batches = Batches(engine)
    for number in range(8):
        make(batches, f"batch_{number}")
    with ThreadPoolExecutor(8) as threads:
        claimed = threads.map(lambda n: batches.claim(f"batch_{n}", f"job-{n}", before=None, most=3), range(8))
        assert sum(claimed) == 3
    engine.dispose()
