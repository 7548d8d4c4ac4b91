"""How one file becomes a document: a small one at once, a large one by a job of Ray; and how far such jobs are."""

import asyncio
import json
import math
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, BinaryIO, TypeVar

from sqlalchemy import Engine

from cluster.documents import Added, Document, NewDocument
from cluster.errors import NotFound
from cluster.settings.tree import Settings
from cluster.stores.document_jobs import KEPT_DAYS, DocumentJob, DocumentJobs
from deployments.clients import Retriever
from deployments.gateway.documents.labels import NONE, Labels
from deployments.gateway.documents.ray_jobs import Jobs
from pipelines.documents.job_progress import (
    JobProgress,
    forget_jobs,
    read_progress,
    upload_folder,
    write_progress,
)

Result = TypeVar("Result")

OVER = frozenset({"done", "failed"})
LOOK_S = 1.0  # between two looks at a job that somebody waits for
ASK_S = 2.0  # between two questions to Ray whether a job is alive
MOST_ALIVE = 1000  # jobs that are remembered for it
SWEEP_S = 3600.0  # between two looks for what was left
DAY_S = 24 * 3600.0
SILENT_S = 60.0  # a gateway that stores in the background writes every few seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a job is. number: counts up with each change, so that a reader knows what it has seen."""

    progress: JobProgress
    number: int

    @property
    def over(self) -> bool:
        """Whether nothing will change any more."""
        return self.progress.state in OVER

    def told(self) -> dict[str, Any]:
        """As the API shows it."""
        fields = asdict(self.progress)
        for name in ("files", "chunks"):
            fields[name] = {"done": fields.pop(f"{name}_done"), "total": fields.pop(f"{name}_total")}
        return fields


class Intake:
    """Stores files in collections. jobs: how large ones are stored. engine: of the database of jobs' owners."""

    def __init__(self, retriever: Retriever, settings: Settings, jobs: Jobs, engine: Engine) -> None:
        self._retriever = retriever
        self._inline_bytes = settings.documents.inline_bytes
        self._default = settings.documents.collection
        self._home = settings.home_path
        self._jobs = jobs
        self._records = DocumentJobs(engine)
        self._swept = -math.inf
        self._alive: dict[str, float] = {}  # jobs, and when Ray said that they live

    def is_small(self, size: int) -> bool:
        """Whether a file of so many bytes is stored at once."""
        return size <= self._inline_bytes

    async def store(self, source: str, content: bytes, collection: str, labels: Labels = NONE) -> Document:
        """Store a small file. collection: its physical name. Raises what the retriever raises."""
        return await self._retriever.add(
            source=source, content=content, collection=collection, tags=labels.tags, metadata=labels.metadata
        )

    async def store_many(
        self, files: Sequence[NewDocument], collection: str, labels: Labels = NONE
    ) -> tuple[Added, ...]:
        """Store small files in one pass; of each its document, or why there is none. Raises Unavailable."""
        return await self._retriever.add_many(files, collection, tags=labels.tags, metadata=labels.metadata)

    async def queue(
        self, source: str, file: BinaryIO, collection: str, *, owner: str, labels: Labels = NONE
    ) -> str:
        """Have a job store a large file; returns the job's id."""
        job_id = f"ingest-{uuid.uuid4().hex[:16]}"
        await self.do(lambda records: records.create(job_id, owner=owner, collection=collection))
        try:
            await asyncio.to_thread(partial(self._submit, job_id, source, file, collection, labels))
        except BaseException:
            await self.do(lambda records: records.remove(job_id))
            raise
        return job_id

    async def standing(self, job_id: str, owner: str) -> Standing:
        """How far a job is. Raises NotFound for one that is unknown, or another's."""
        record = await self.do(lambda records: records.get(job_id, owner=owner))
        if record.state is not None:
            return _of_gateway(record)
        return await asyncio.to_thread(self._of_ray, record)

    async def end(self, job_id: str, owner: str, *, look_s: float = LOOK_S) -> JobProgress:
        """Wait for a job's end."""
        standing = await self.standing(job_id, owner)
        while not standing.over:
            await asyncio.sleep(look_s)
            standing = await self.standing(job_id, owner)
        return standing.progress

    async def do(self, work: Callable[[DocumentJobs], Result]) -> Result:
        """Something with the jobs' records, in a thread."""
        return await asyncio.to_thread(work, self._records)

    def forget_old(self) -> None:
        """Once an hour, let go of what killed gateways and jobs left. Blocks for a moment."""
        if time.monotonic() - self._swept > SWEEP_S:
            self._swept = time.monotonic()
            forget_jobs(self._home, older_than=time.time() - KEPT_DAYS * DAY_S)

    def _submit(self, job_id: str, source: str, file: BinaryIO, collection: str, labels: Labels) -> None:
        self.forget_old()
        folder = upload_folder(self._home, job_id)
        path = folder / source
        path.parent.mkdir(parents=True)
        try:
            file.seek(0)
            with path.open("wb") as target:
                shutil.copyfileobj(file, target)
            first = JobProgress(job_id=job_id, state="queued", files_total=1, updated=time.time())
            write_progress(self._home, first)
            command = [sys.executable, "-m", "pipelines", "ingest", str(path), "--job", job_id]
            if collection != self._default:
                command.append(f"--collection={collection}")
            command += [f"--tag={tag}" for tag in labels.tags]
            if labels.metadata:
                command.append(f"--metadata={json.dumps(dict(labels.metadata))}")
            notes = {"kind": "ingest", "source": source}
            self._jobs.submit(command, submission_id=job_id, metadata=notes, home=self._home)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _lived(self, job_id: str) -> bool:
        """Whether Ray said a moment ago that a job lives: to ask costs more than to read a file."""
        return time.monotonic() - self._alive.get(job_id, -math.inf) < ASK_S

    def _lives(self, job_id: str) -> None:
        if len(self._alive) > MOST_ALIVE:
            self._alive.clear()
        self._alive[job_id] = time.monotonic()

    def _of_ray(self, record: DocumentJob) -> Standing:
        found = read_progress(self._home, record.id)
        if found.state in OVER or self._lived(record.id):
            return _numbered(found)
        try:
            ended = self._jobs.ended(record.id, home=self._home)
        except NotFound:
            ended = "Ray knows nothing of the job: its cluster was restarted"
        if ended is None:
            self._lives(record.id)
            return _numbered(found)
        # The job may have ended between the two questions; only its file's last word counts.
        found = read_progress(self._home, record.id)
        if found.state in OVER:
            return _numbered(found)
        reason = f"the job ended before it was done: {ended}"
        return _numbered(replace(found, state="failed", reason=reason, updated=found.updated + 0.001))


def _of_gateway(record: DocumentJob) -> Standing:
    assert record.state is not None
    progress = progress_of(record.state)
    silent_s = time.time() - record.updated_at.timestamp()
    if progress.state in OVER or silent_s < SILENT_S:
        return Standing(progress=progress, number=record.number)
    reason = "the gateway that stored the files was stopped; send them again, those that are stored are skipped"
    return Standing(progress=replace(progress, state="failed", reason=reason), number=record.number + 1)


def progress_of(state: Any) -> JobProgress:
    """The progress that a record's state is."""
    from pipelines.documents.job_progress import Failure

    failed = tuple(Failure(**failure) for failure in state["failed"])
    return JobProgress(**{**state, "failed": failed, "documents": tuple(state["documents"])})


def _numbered(progress: JobProgress) -> Standing:
    # The last word counts, even where it came in the same millisecond as the one before.
    return Standing(progress=progress, number=int(progress.updated * 1000) + (progress.state in OVER))
