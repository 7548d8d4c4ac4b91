"""A batch's job: check the input, have each line answered once, make the output. Knows no Ray.

Killed at any moment and started again, it goes on from what is stored: no line is lost, none is twice in the
output. The answers of the last two seconds may have to be asked for again.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.errors import BatchNotFound, DatabaseAway
from cluster.settings.apis import BatchSettings
from cluster.stores.batches import (
    CANCELLED,
    CANCELLING,
    COMPLETED,
    EXPIRED,
    FAILED,
    FINALIZING,
    IN_PROGRESS,
    VALIDATING,
    Batch,
    Batches,
    Ending,
)
from cluster.stores.database import now
from cluster.stores.files import Files
from cluster.stores.runs import Superseded
from pipelines.batches.asking import Ask, LineRunner
from pipelines.batches.check import check_input
from pipelines.batches.ending import LEFT_OUT, write_files
from pipelines.batches.folder import Answered, BatchFolder, Standing
from pipelines.batches.line import Line, Problem, Rules, raw_lines, read_line
from pipelines.sweeps.block_writer import FLUSH_S, BlockWriter
from pipelines.sweeps.width import Width

POLL_S = 1.0  # between two looks at whether it is cancelled, expired or another's: what a cancel takes at most
HELD_S = 20.0  # a job that lost its batch sees that within POLL_S and lets go
PART_LINES = 256  # of one part at most
LEFTOVER_S = 3600.0  # a folder without a batch may be of one that is being created


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """What a job works with. served: ids of the models that may be asked. timeout_s: of one try of a line."""

    home: Path
    batches: Batches
    files: Files
    served: frozenset[str]
    settings: BatchSettings
    max_line_bytes: int
    timeout_s: float
    poll_s: float = POLL_S
    flush_s: float = FLUSH_S


class BatchJob:
    """Runs one batch that was claimed for a submission."""

    def __init__(self, batch_id: str, submission_id: str, shop: Workshop, ask: Ask) -> None:
        self._id = batch_id
        self._submission = submission_id
        self._shop = shop
        self._ask = ask
        self._folder = BatchFolder(shop.home, batch_id)
        self._standing = Standing()

    async def run(self) -> str:
        """The status that the batch ended with. Raises Superseded where it is another job's, or has ended."""
        self._batch()
        with self._folder.held(wait_s=HELD_S):
            batch = self._batch()
            if batch.status == VALIDATING:
                problems = await self._validate(batch)
                if problems:
                    return self._finish(Ending(status=FAILED, problems=[problem.told() for problem in problems]))
            return await self._go_on(self._batch())

    def write(self, rows: list[Mapping[str, Any]], *, session: str, block: int) -> None:  # noqa: ARG002
        """Store answers, then count them: a count is never ahead of what is on disk. For BlockWriter."""
        self._folder.write(rows)
        for row in rows:
            self._standing.take(row["line"], ok=row["ok"])
        # A database that is busy now hears the next count; no batch ends for that.
        with suppress(DatabaseAway):
            self._count(advanced=True)

    async def _validate(self, batch: Batch) -> Sequence[Problem]:
        checked = await asyncio.to_thread(check_input, self._folder.input, self._rules(batch))
        if not checked.problems:
            self._shop.batches.begin(self._id, self._submission, total=checked.lines)
        return checked.problems

    async def _go_on(self, batch: Batch) -> str:
        self._standing = await asyncio.to_thread(self._folder.standing)
        self._count(advanced=False)
        if batch.status == CANCELLING:
            status = CANCELLED
        elif batch.status == FINALIZING:
            status = COMPLETED if len(self._standing.lines) == batch.total else EXPIRED
        else:
            assert batch.status == IN_PROGRESS
            status = await self._work(batch)
            if status != CANCELLED and not self._shop.batches.finalize(self._id, self._submission):
                status = CANCELLED if self._batch().status == CANCELLING else status
        return await asyncio.to_thread(self._end, self._batch(), status)

    async def _work(self, batch: Batch) -> str:
        """Have the lines answered until all are, or until there is a reason to stop."""
        work = asyncio.create_task(self._run_lines(batch))
        watch = asyncio.create_task(self._reason_to_stop())
        try:
            await asyncio.wait({work, watch}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return COMPLETED
            return watch.result()
        finally:
            for task in (work, watch):
                task.cancel()
            # What was answered by now is stored when this returns.
            await asyncio.gather(work, watch, return_exceptions=True)

    async def _reason_to_stop(self) -> str:
        while True:
            with suppress(DatabaseAway):
                found = await asyncio.to_thread(self._batch)
                if found.status == CANCELLING:
                    return CANCELLED
                if now() >= found.expires_at:
                    return EXPIRED
            await asyncio.sleep(self._shop.poll_s)

    async def _run_lines(self, batch: Batch) -> None:
        settings = self._shop.settings
        runner = self._runner(batch)
        lines = self._missing(batch)
        writer = BlockWriter(self, session=self._submission, block=0, size=PART_LINES, flush_s=self._shop.flush_s)

        async def lane() -> None:
            for line in lines:  # one iterator for all lanes: each line is taken once
                await writer.add((await runner.run(line)).row())

        try:
            async with writer, asyncio.TaskGroup() as group:
                for _ in range(settings.in_flight):
                    group.create_task(lane())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from failures  # they are of one cause: the disk, or another job

    def _missing(self, batch: Batch) -> Iterator[Line]:
        """The lines that have no stored answer."""
        rules, stored = self._rules(batch), frozenset(self._standing.lines)
        for number, raw in raw_lines(self._folder.input, rules.max_line_bytes):
            if number in stored:
                continue
            # The model may have gone since the check: then the gateway says so, in the line's answer.
            line = read_line(number, raw, rules, any_model=True)
            if isinstance(line, Problem):
                raise ValueError(f"line {number} of {self._id} was valid before: {line.message}")
            yield line

    def _end(self, batch: Batch, status: str) -> str:
        left_out = self._left_out(batch, status) if batch.total else iter(())
        ending = write_files(batch, self._folder, self._shop.files, status, left_out)
        self._count(advanced=False)
        return self._finish(ending)

    def _left_out(self, batch: Batch, status: str) -> Iterator[Answered]:
        if status in LEFT_OUT:
            runner = self._runner(batch)
            for line in self._missing(batch):
                yield runner.left_out(line, *LEFT_OUT[status])

    def _finish(self, ending: Ending) -> str:
        if not self._shop.batches.finish(self._id, self._submission, ending):
            raise Superseded(self._id)
        self._folder.remove()
        return ending.status

    def _runner(self, batch: Batch) -> LineRunner:
        settings = self._shop.settings
        return LineRunner(
            self._ask,
            Width(settings.in_flight),
            batch_id=self._id,
            endpoint=batch.endpoint,
            owner=batch.owner,
            models=batch.models,
            retries=settings.retries,
            timeout_s=self._shop.timeout_s,
        )

    def _rules(self, batch: Batch) -> Rules:
        served = self._shop.served
        return Rules(
            endpoint=batch.endpoint,
            models=served if batch.models is None else served & batch.models,
            max_lines=self._shop.settings.max_lines,
            max_line_bytes=self._shop.max_line_bytes,
        )

    def _batch(self) -> Batch:
        found = self._shop.batches.get(self._id)
        if not found.active or found.submission_id != self._submission:
            raise Superseded(self._id)
        return found

    def _count(self, *, advanced: bool) -> None:
        standing = self._standing
        counted = self._shop.batches.count(
            self._id,
            self._submission,
            completed=standing.completed,
            failed=standing.failed,
            advanced=advanced,
        )
        if not counted:
            raise Superseded(self._id)


async def run_waiting(submission_id: str, shop: Workshop, ask: Ask) -> None:
    """Run those that wait for a place, one after another: their owner may never look again."""
    while True:
        most = shop.settings.max_running
        for batch in shop.batches.waiting():
            if shop.batches.claim(batch.id, submission_id, before=None, most=most):
                with suppress(Superseded):
                    await BatchJob(batch.id, submission_id, shop, ask).run()
                break
        else:
            return


def sweep_folders(home: Path, batches: Batches) -> None:
    """Remove the folders of batches that have ended, and of those that a crash kept from being created."""
    for folder in (home / "batches").glob("*"):
        try:
            leftover = not batches.get(folder.name).active
        except BatchNotFound:
            leftover = folder.stat().st_mtime < time.time() - LEFTOVER_S
        if leftover:
            BatchFolder(home, folder.name).remove()
