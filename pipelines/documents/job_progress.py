"""How far an ingest job is, as a small file that is replaced in one step."""

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from cluster.errors import NotFound

JOB_ID = re.compile(r"ingest-[0-9a-f]{16}")
State = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A document that was not stored, and why."""

    source: str
    code: str
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProgress:
    """One job. documents: stored, an id a file. removed: files that a sync took out. embedded: texts computed.

    updated: Unix seconds of the last change. reason: why a job as a whole failed.
    """

    job_id: str
    state: State
    files_total: int = 0
    files_done: int = 0
    chunks_total: int = 0
    chunks_done: int = 0
    documents: tuple[str, ...] = ()
    unchanged: int = 0
    removed: int = 0
    embedded: int = 0
    failed: tuple[Failure, ...] = ()
    reason: str | None = None
    updated: float = 0.0


def upload_folder(home: Path, job_id: str) -> Path:
    """Where a job's uploaded file waits."""
    return home / "uploads" / job_id


def write_progress(home: Path, progress: JobProgress) -> None:
    """Replace the job's file: a reader sees the old or the new, never a half."""
    file = _file(home, progress.job_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(f".{os.getpid()}.tmp")
    draft.write_text(json.dumps(asdict(progress)), encoding="utf-8")
    draft.replace(file)


def read_progress(home: Path, job_id: str) -> JobProgress:
    """The job's progress. Raises NotFound."""
    unknown = NotFound(f"No ingest job with the id {job_id!r}", hint="the 202 answer to the upload named it")
    if not JOB_ID.fullmatch(job_id):
        raise unknown
    try:
        fields = json.loads(_file(home, job_id).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise unknown from None
    fields["documents"] = tuple(fields["documents"])
    fields["failed"] = tuple(Failure(**failure) for failure in fields["failed"])
    return JobProgress(**fields)


def forget_jobs(home: Path, *, older_than: float) -> None:
    """Remove what killed jobs and gateways left, and told: files that waited, and progress, of before that time.

    older_than: Unix seconds.
    """
    for left in (*(home / "uploads").glob("*"), *_file(home, "").parent.glob("*")):
        with suppress(OSError):  # another gateway may be at it, too
            if left.stat().st_mtime >= older_than:
                continue
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink()


def _file(home: Path, job_id: str) -> Path:
    return home / "documents" / "jobs" / f"{job_id}.json"
