"""Where sweeps and batches run: jobs of this cluster, or what a test brings in their place."""

from pathlib import Path
from typing import Protocol

from cluster.errors import NotFound


class Jobs(Protocol):
    """Where sweeps run. All calls block."""

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        """Start `python -m pipelines …`. Raises ClusterError, NotRunning."""
        ...

    def ended(self, submission_id: str) -> str | None:
        """What Ray says of a job that has ended; None while it runs. Raises NotFound, ClusterError."""
        ...

    def stop(self, submission_id: str) -> None:
        """End a job; one that is unknown or has ended is let be. Raises ClusterError."""
        ...


class RayJobs:
    """Jobs of this cluster."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def submit(self, arguments: list[str], *, submission_id: str, metadata: dict[str, str]) -> None:
        """Start `python -m pipelines …`."""
        from cluster.runtime import jobs

        entrypoint = jobs.pipeline(*arguments)
        jobs.submit(entrypoint, submission_id=submission_id, metadata=metadata, home=self._home)

    def ended(self, submission_id: str) -> str | None:
        """What Ray says of a job that has ended; None while it runs."""
        from cluster.runtime import jobs

        job = jobs.job_status(submission_id, home=self._home)
        return (job.message or job.status) if job.finished else None

    def stop(self, submission_id: str) -> None:
        """End a job."""
        from cluster.runtime import jobs

        try:
            jobs.stop_job(submission_id, home=self._home)
        except NotFound:
            return
