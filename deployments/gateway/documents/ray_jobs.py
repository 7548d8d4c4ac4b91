"""Ray's jobs, as large uploads use them; tests bring others."""

from pathlib import Path
from typing import Protocol


class Jobs(Protocol):
    """Ray jobs, as `cluster.runtime.jobs` has them. Both methods block for a moment."""

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        """Start a job; returns its id."""
        ...

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        """Why a job is over, `succeeded` included; None while it waits or runs."""
        ...


class RayJobs:
    """Ray jobs through `cluster.runtime.jobs`."""

    def submit(self, entrypoint: list[str], *, submission_id: str, metadata: dict[str, str], home: Path) -> str:
        """Start a job; returns its id."""
        from cluster.runtime import jobs

        return jobs.submit(entrypoint, submission_id=submission_id, metadata=metadata, home=home)

    def ended(self, submission_id: str, *, home: Path) -> str | None:
        """Why a job is over; None while it waits or runs."""
        from cluster.runtime import jobs

        job = jobs.job_status(submission_id, home=home)
        return f"{job.status}: {job.message}" if job.finished else None
