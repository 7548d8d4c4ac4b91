"""Uploads that nobody waits for: the files are kept, the request is answered, and the gateway stores them then.

How far it is is written down every moment, so that any gateway can tell. One that is stopped meanwhile leaves an
upload that says so: to send its files again stores only what is missing.
"""

import asyncio
import logging
import shutil
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cluster.errors import HeliostatError
from cluster.settings.tree import Settings
from deployments.gateway.documents.intake import Intake, Standing
from deployments.gateway.documents.uploads import Incoming, Queued, Refused, Stored, Taken, Target, Uploads
from pipelines.documents.job_progress import Failure, JobProgress, upload_folder

logger = logging.getLogger(__name__)

WRITE_S = 0.3  # between two notes of how far it is
BEAT_S = 5.0  # the same where nothing changes, to show that somebody is at it


class Background:
    """Stores whole uploads after their requests."""

    def __init__(self, settings: Settings, uploads: Uploads, intake: Intake) -> None:
        self._home = settings.home_path
        self._uploads = uploads
        self._intake = intake
        self._running: set[asyncio.Task[Any]] = set()

    async def begin(self, files: Sequence[Incoming], target: Target) -> str:
        """Keep the files, and start to store them; returns the job's id."""
        job_id = f"upload-{uuid.uuid4().hex[:16]}"
        folder = upload_folder(self._home, job_id)
        await asyncio.to_thread(self._intake.forget_old)
        try:
            kept = await asyncio.to_thread(_keep, files, folder)
            first = JobProgress(job_id=job_id, state="running", files_total=len(files), updated=time.time())
            owner, place = target.principal.owner, target.place.physical
            await self._intake.do(
                lambda records: records.create(job_id, owner=owner, collection=place, state=asdict(first))
            )
        except BaseException:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            raise
        task = asyncio.create_task(self._store(_Upload(first), kept, folder, target))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return job_id

    async def _store(self, upload: "_Upload", kept: Sequence[Incoming], folder: Path, target: Target) -> None:
        beat = asyncio.create_task(self._note_always(upload))
        try:
            with ExitStack() as files:
                for one in kept:
                    files.callback(one.file.close)
                taken = await self._uploads.take_all(kept, target, upload.take)
            await asyncio.gather(*(self._follow(one, target, upload) for one in taken if isinstance(one, Queued)))
            upload.end("done")
        except HeliostatError as error:
            upload.end("failed", error.line())
        except Exception as error:  # nobody awaits this task: what went wrong is told where they look
            logger.exception("an upload failed")
            upload.end("failed", f"{type(error).__name__}: the gateway's log says more")
        finally:
            upload.changed.set()
            await beat  # not cancelled: a note that is under way would land after the last one
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            await self._note(upload)

    async def _follow(self, queued: Queued, target: Target, upload: "_Upload") -> None:
        """Count what a job of the upload does as its own."""
        while True:
            standing = await self._intake.standing(queued.job_id, target.principal.owner)
            upload.hear(queued, standing)
            if standing.over:
                return
            await asyncio.sleep(WRITE_S)

    async def _note_always(self, upload: "_Upload") -> None:
        while not upload.over:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await upload.changed.wait()
            if not upload.over:
                await self._note(upload)
                await asyncio.sleep(WRITE_S)

    async def _note(self, upload: "_Upload") -> None:
        upload.changed.clear()
        state = asdict(upload.progress())
        try:
            await self._intake.do(lambda records: records.note(state["job_id"], state))
        except HeliostatError as error:  # the database is away: the next note says more
            logger.warning("an upload's progress was not noted: %s", error.line())


class _Upload:
    """What is known of one upload. changed: since it was last written."""

    def __init__(self, first: JobProgress) -> None:
        self._own = first
        self._jobs: dict[str, JobProgress] = {}
        self.changed = asyncio.Event()

    def take(self, taken: Taken) -> None:
        """A file is stored, refused, or a job's."""
        if isinstance(taken, Stored):
            chunks = taken.document.chunks
            self._own = replace(
                self._own,
                files_done=self._own.files_done + 1,
                chunks_done=self._own.chunks_done + chunks,
                chunks_total=self._own.chunks_total + chunks,
                documents=(*self._own.documents, taken.document.id),
            )
        elif isinstance(taken, Refused):
            failure = Failure(
                source=taken.source, code=taken.error.code, message=taken.error.message, hint=taken.error.hint
            )
            self._own = replace(self._own, files_done=self._own.files_done + 1, failed=(*self._own.failed, failure))
        self.changed.set()

    def hear(self, queued: Queued, standing: Standing) -> None:
        """A job of the upload is so far."""
        before, now = self._jobs.get(queued.job_id), standing.progress
        if before == now:
            return
        if now.state == "failed" and not now.failed:
            why = Failure(source=queued.source, code="ingest_failed", message=now.reason or "the job failed")
            now = replace(now, files_done=1, failed=(why,))
        self._jobs[queued.job_id] = now
        self.changed.set()

    @property
    def over(self) -> bool:
        """Whether its end is known."""
        return self._own.state != "running"

    def end(self, state: Any, reason: str | None = None) -> None:
        """Nothing more comes."""
        self._own = replace(self._own, state=state, reason=reason)

    def progress(self) -> JobProgress:
        """All of it together."""
        jobs = tuple(self._jobs.values())
        return replace(
            self._own,
            files_done=self._own.files_done + sum(job.files_done for job in jobs),
            chunks_total=self._own.chunks_total + sum(job.chunks_total for job in jobs),
            chunks_done=self._own.chunks_done + sum(job.chunks_done for job in jobs),
            documents=(*self._own.documents, *(one for job in jobs for one in job.documents)),
            unchanged=self._own.unchanged + sum(job.unchanged for job in jobs),
            failed=(*self._own.failed, *(failure for job in jobs for failure in job.failed)),
            updated=time.time(),
        )


def _keep(files: Sequence[Incoming], folder: Path) -> list[Incoming]:
    """Copies of the files, open, that outlive their request."""
    folder.mkdir(parents=True)
    kept = []
    for at, one in enumerate(files):
        path = folder / str(at)
        one.file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(one.file, target)
        kept.append(replace(one, file=path.open("rb")))
    return kept
