"""Uploaded files: small ones are stored while the client waits, large ones by a job."""

import asyncio
import shutil
import sys
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from fastapi import UploadFile

from cluster.errors import HeliostatError, NotFound
from cluster.settings.tree import Settings
from cluster.types import Document
from deployments.clients import Retriever
from deployments.gateway.belongings import Belongings, id_of
from deployments.gateway.principal import Principal
from pipelines.documents.job_progress import JobProgress, read_progress, upload_folder, write_progress
from pipelines.documents.media import require_readable
from pipelines.documents.names import base_name
from pipelines.documents.reader import check_size

JOBS_PATH = "/api/v1/documents/jobs"


class Jobs(Protocol):
    """Ray jobs, as `cluster.runtime.jobs` has them. Both methods block for a moment."""

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        """Start a job; returns its id."""
        ...

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        """Why a job is over, `succeeded` included; None while it waits or runs."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that was stored while the client waited."""

    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """A file that a job stores."""

    source: str
    job_id: str

    def told(self) -> dict[str, str]:
        """As the API shows it."""
        return {"source": self.source, "job_id": self.job_id, "status_url": f"{JOBS_PATH}/{self.job_id}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A file that was not stored."""

    source: str
    error: HeliostatError


class Uploads:
    """Takes files in. jobs: how large ones are stored. belongings: whose they are then."""

    def __init__(self, retriever: Retriever, settings: Settings, jobs: Jobs, belongings: Belongings) -> None:
        self._retriever = retriever
        self._settings = settings.documents
        self._home = settings.home_path
        self._jobs = jobs
        self._belongings = belongings

    async def take(self, file: UploadFile, principal: Principal) -> Stored | Queued | Refused:
        """Store one file, or say why not: a wrong file fails no other."""
        source = (file.filename or "")[:80]
        try:
            source = base_name(file.filename)
            require_readable(source)
            check_size(source, file.size or 0, self._settings)
            await self._belongings.check_name(source, principal)
            if (file.size or 0) <= self._settings.inline_bytes:
                document = await self._retriever.add(source=source, content=await file.read())
                await self._belongings.claim(source, document.id, principal)
                return Stored(document=document)
            # Its claim comes first: nobody else may take it out as soon as it is stored.
            await self._belongings.claim(source, await asyncio.to_thread(id_of, file.file), principal)
            return await asyncio.to_thread(self._queue, source, file)
        except HeliostatError as error:
            return Refused(source=source, error=error)

    async def progress(self, job_id: str) -> dict[str, Any]:
        """How far a job is. Raises NotFound."""
        found = await asyncio.to_thread(self._progress, job_id)
        fields = asdict(found)
        for name in ("files", "chunks"):
            fields[name] = {"done": fields.pop(f"{name}_done"), "total": fields.pop(f"{name}_total")}
        return fields

    def _queue(self, source: str, file: UploadFile) -> Queued:
        job_id = f"ingest-{uuid.uuid4().hex[:16]}"
        path = upload_folder(self._home, job_id) / source
        path.parent.mkdir(parents=True)
        try:
            with path.open("wb") as target:
                shutil.copyfileobj(file.file, target)
            write_progress(
                self._home, JobProgress(job_id=job_id, state="queued", files_total=1, updated=time.time())
            )
            command = [sys.executable, "-m", "pipelines", "ingest", str(path), "--job", job_id]
            self._jobs.submit(
                command, submission_id=job_id, metadata={"kind": "ingest", "source": source}, home=self._home
            )
        except BaseException:
            shutil.rmtree(path.parent, ignore_errors=True)
            raise
        return Queued(source=source, job_id=job_id)

    def _progress(self, job_id: str) -> JobProgress:
        found = read_progress(self._home, job_id)
        if found.state in {"done", "failed"}:
            return found
        try:
            ended = self._jobs.ended(job_id, home=self._home)
        except NotFound:
            ended = "Ray knows nothing of the job: its cluster was restarted"
        if ended is None:
            return found
        # The job may have ended between the two questions; only its file's last word counts.
        found = read_progress(self._home, job_id)
        if found.state in {"done", "failed"}:
            return found
        return replace(found, state="failed", reason=f"the job ended before it was done: {ended}")
