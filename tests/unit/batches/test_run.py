"""A batch's job: its states, its files, and that no kill loses a line or doubles one."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from cluster.errors import Conflict
from cluster.stores.batches import Batch, Batches, batches
from cluster.stores.database import now
from cluster.stores.draft import Draft
from cluster.stores.runs import Superseded
from cluster.types import LineAnswer
from pipelines.batches import run as running
from pipelines.batches.folder import BatchFolder
from pipelines.batches.run import run_waiting, sweep_folders
from tests.unit.batches.conftest import Bench, jsonl, line
from tests.unit.waiting import PATIENCE_S, until

BAD = LineAnswer(status=400, body=b'{"error": {}}')
TWELVE = jsonl(*(line(number) for number in range(12)))


def ids(bench: Bench, file_id: str | None) -> list[str]:
    return sorted(row["custom_id"] for row in bench.lines(file_id))


def all_ids(count: int) -> list[str]:
    return sorted(f"c{number}" for number in range(count))


def change(bench: Bench, batch: Batch, **values: Any) -> None:
    with bench.shop.batches._engine.begin() as connection:
        connection.execute(update(batches).where(batches.c.id == batch.id).values(**values))


async def stop(job: asyncio.Task[str]) -> None:
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_batch_ends_with_every_line_in_one_of_its_files(bench: Bench) -> None:
    bench.gateway.script = {"say 3": [BAD], "say 7": [BAD]}
    batch = bench.batch(TWELVE, output_expires_s=7200)
    done = await bench.run(batch)
    assert (done.status, done.total, done.completed, done.failed) == ("completed", 12, 10, 2)
    assert ids(bench, done.error_file_id) == ["c3", "c7"]
    assert sorted([*ids(bench, done.output_file_id), "c3", "c7"]) == all_ids(12)
    assert None not in (done.in_progress_at, done.finalizing_at, done.completed_at)
    stored = bench.shop.files.get(done.output_file_id or "", owner="ann")
    assert stored.purpose == "batch_output"
    assert stored.expires_at == stored.created_at + timedelta(seconds=7200)
    assert not BatchFolder(bench.shop.home, batch.id).folder.exists()


async def test_a_file_that_would_be_empty_is_not_made(bench: Bench) -> None:
    done = await bench.run(bench.batch(jsonl(line(1))))
    assert done.error_file_id is None
    bench.gateway.script = {"say 1": [BAD]}
    done = await bench.run(bench.batch(jsonl(line(1))))
    assert done.output_file_id is None
    assert done.error_file_id is not None


async def test_a_bad_file_fails_the_batch_and_asks_nothing(bench: Bench) -> None:
    done = await bench.run(bench.batch(jsonl(line(1)) + b"nope\n"))
    assert (done.status, done.total, bench.gateway.asked) == ("failed", 0, [])
    assert [(problem["code"], problem["line"]) for problem in done.problems] == [("invalid_json_line", 2)]
    assert done.failed_at


async def test_a_key_may_ask_its_own_models_only(bench: Bench) -> None:
    done = await bench.run(bench.batch(jsonl(line(1)), models=frozenset({"other"})))
    assert [problem["code"] for problem in done.problems] == ["model_not_found"]


async def test_the_counts_grow_while_it_runs_and_are_what_is_stored(bench: Bench) -> None:
    bench.gateway.stuck_after = 8
    batch = bench.batch(TWELVE)
    job = asyncio.create_task(bench.job(batch).run())
    await until(lambda: bench.now(batch).completed == 8)
    assert (bench.now(batch).status, bench.now(batch).total) == ("in_progress", 12)
    assert BatchFolder(bench.shop.home, batch.id).standing().completed == 8
    await stop(job)


async def test_a_cancelled_batch_stops_soon_and_keeps_what_is_done(bench: Bench) -> None:
    bench.gateway.script = {"say 0": [BAD]}
    bench.with_settings(in_flight=1)
    bench.gateway.stuck_after = 4
    batch = bench.batch(TWELVE)
    job = asyncio.create_task(bench.job(batch).run())
    await until(lambda: len(bench.gateway.asked) == 5)
    assert bench.shop.batches.cancel(batch.id)
    async with asyncio.timeout(PATIENCE_S):
        assert await job == "cancelled"
    done = bench.now(batch)
    assert None not in (done.cancelling_at, done.cancelled_at)
    kept, rest = ids(bench, done.output_file_id), bench.lines(done.error_file_id)
    assert (len(kept), done.completed, done.failed) == (done.completed, len(kept), 1)
    assert done.completed == 3
    left = [row for row in rest if row["error"]]
    assert {row["error"]["code"] for row in left} == {"batch_cancelled"}
    assert sorted(kept + [row["custom_id"] for row in rest]) == all_ids(12)


async def test_one_that_is_cancelled_before_its_job_begins_has_no_files(bench: Bench) -> None:
    batch = bench.batch(TWELVE)
    job = bench.job(batch)
    assert bench.shop.batches.cancel(batch.id)
    assert await job.run() == "cancelled"
    done = bench.now(batch)
    assert (done.output_file_id, done.error_file_id, bench.gateway.asked) == (None, None, [])


async def test_an_expired_batch_gives_what_it_has(bench: Bench) -> None:
    bench.with_settings(in_flight=1)
    bench.gateway.stuck_after = 4
    batch = bench.batch(TWELVE)
    job = asyncio.create_task(bench.job(batch).run())
    await until(lambda: len(bench.gateway.asked) == 5)
    change(bench, batch, expires_at=now())
    assert await job == "expired"
    done = bench.now(batch)
    assert done.expired_at
    rest = bench.lines(done.error_file_id)
    assert {row["error"]["code"] for row in rest} == {"batch_expired"}
    assert {row["response"] for row in rest} == {None}
    assert sorted(ids(bench, done.output_file_id) + [row["custom_id"] for row in rest]) == all_ids(12)


class Killed(BaseException):
    """What a test does at the moment of a SIGKILL."""


class Kills:
    """Kills at a durable step, before or after it is done; from then on nothing is done any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: int | None = None
        self.after = False
        self.step = 0
        for kind, name in ((Draft, "publish"), (Batches, "_change")):
            monkeypatch.setattr(kind, name, self._killing(getattr(kind, name)))

    def arm(self, at: int | None, *, after: bool = False) -> None:
        self.at, self.after, self.step = at, after, 0

    def _killing(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **options: Any) -> Any:
            here, self.step = self.step, self.step + 1
            if self.at is not None and (here > self.at or (here == self.at and not self.after)):
                raise Killed
            result = work(*args, **options)
            if here == self.at:
                raise Killed
            return result

        return step


@pytest.mark.parametrize("after", [False, True])
async def test_a_kill_at_any_write_loses_no_line_and_doubles_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    monkeypatch.setattr(running, "PART_LINES", 2)
    kills = Kills(monkeypatch)
    survived = False
    at = 0
    while not survived:
        bench.gateway.script = {"say 3": [BAD] * 20}
        kills.arm(None)
        batch = bench.batch(jsonl(*(line(number) for number in range(6))))
        job = bench.job(batch)
        kills.arm(at, after=after)
        try:
            await job.run()
            survived = True
        except (Killed, BaseExceptionGroup):  # a group of lanes that were killed at once
            pass
        kills.arm(None)
        if bench.now(batch).active:
            await bench.run(batch)
        done = bench.now(batch)
        assert (done.status, done.total, done.completed, done.failed) == ("completed", 6, 5, 1), at
        assert ids(bench, done.output_file_id) == ["c0", "c1", "c2", "c4", "c5"], at
        assert ids(bench, done.error_file_id) == ["c3"], at
        at += 1
    assert at > 8


async def test_stored_lines_are_not_asked_again(bench: Bench) -> None:
    bench.gateway.stuck_after = 5
    batch = bench.batch(TWELVE)
    job = asyncio.create_task(bench.job(batch).run())
    await until(lambda: bench.now(batch).completed == 5)
    await stop(job)
    bench.gateway.asked.clear()
    bench.gateway.stuck_after = 10**6
    assert (await bench.run(batch)).completed == 12
    assert len(bench.gateway.asked) == 7


async def test_a_job_that_lost_its_batch_stops_and_writes_no_end(bench: Bench) -> None:
    bench.gateway.stuck_after = 0
    batch = bench.batch(TWELVE)
    first = asyncio.create_task(bench.job(batch).run())
    await until(lambda: len(bench.gateway.asked) == 4)
    second = bench.job(batch)
    with pytest.raises(Superseded):
        await first
    bench.gateway.stuck_after = 10**6
    assert await second.run() == "completed"


async def test_two_jobs_never_hold_one_folder(bench: Bench) -> None:
    folder = BatchFolder(bench.shop.home, bench.batch(TWELVE).id)
    with folder.held(wait_s=0), pytest.raises(Conflict), folder.held(wait_s=0):
        pass


async def test_a_job_that_dies_in_finalizing_is_finished_by_the_next(bench: Bench) -> None:
    batch = bench.batch(TWELVE)
    await bench.run(batch)
    other = bench.batch(TWELVE)
    change(bench, other, status="finalizing", total=12)
    done = await bench.run(other)  # it has no stored line: those that are missing can only have expired
    assert (done.status, len(bench.lines(done.error_file_id))) == ("expired", 12)


async def test_restarts_count_jobs_that_store_nothing(bench: Bench) -> None:
    batch = bench.batch(jsonl(line(1)))
    for _ in range(3):
        bench.job(batch)
    assert bench.now(batch).restarts == 2
    await bench.run(batch)
    assert bench.now(batch).restarts == 0


async def test_the_input_may_be_deleted_while_the_batch_runs(bench: Bench) -> None:
    batch = bench.batch(TWELVE)
    bench.shop.files.remove(batch.input_file_id, owner="ann")
    assert (await bench.run(batch)).completed == 12


async def test_a_job_takes_those_that_wait_when_it_is_done(bench: Bench) -> None:
    waiting = [bench.batch(jsonl(line(1))) for _ in range(3)]
    await run_waiting("job-9", bench.shop, bench.gateway.answer)
    assert {bench.now(batch).status for batch in waiting} == {"completed"}


async def test_no_more_batches_run_at_once_than_are_allowed(bench: Bench) -> None:
    first, second = bench.batch(TWELVE), bench.batch(TWELVE)
    store = bench.shop.batches
    assert store.claim(first.id, "a", before=None, most=1)
    assert not store.claim(second.id, "b", before=None, most=1)
    assert not store.claim(first.id, "c", before=None, most=5)
    assert [batch.id for batch in store.waiting()] == [second.id]
    assert store.release(first.id, "a")
    assert store.claim(second.id, "b", before=None, most=1)


def test_folders_of_ended_batches_are_swept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    running_, ended = bench.batch(TWELVE), bench.batch(TWELVE)
    bench.shop.batches.cancel(ended.id)
    strange = bench.shop.home / "batches" / "batch_0"
    strange.mkdir()
    sweep_folders(bench.shop.home, bench.shop.batches)
    left = {folder.name for folder in Path(bench.shop.home / "batches").iterdir()}
    assert left == {running_.id, "batch_0"}
    monkeypatch.setattr(running, "LEFTOVER_S", -1.0)
    sweep_folders(bench.shop.home, bench.shop.batches)
    assert not strange.exists()
