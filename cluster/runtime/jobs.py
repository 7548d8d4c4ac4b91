"""Ray jobs: long pipelines that run beside the deployments, visible in Ray's dashboard, isolated and stoppable.

Works from the command line and from inside a replica. Every call is a blocking HTTP request of some
milliseconds to Ray's dashboard: an event loop calls it through `asyncio.to_thread`.
"""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.config import environment
from cluster.config import home as default_home
from cluster.errors import ClusterError, Conflict, NotFound, NotRunning
from cluster.runtime.lifecycle import apply_environment, current
from cluster.runtime.processes import MARKER
from cluster.runtime.ray_node import python_path
from cluster.runtime.state import read_state

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

FINISHED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A submitted job. status: Ray's word, `PENDING`, `RUNNING`, `SUCCEEDED`, `FAILED` or `STOPPED`.

    message: Ray's, in one line. started, ended: Unix seconds, None until then.
    """

    id: str
    status: str
    entrypoint: str
    message: str = ""
    started: float | None = None
    ended: float | None = None
    metadata: dict[str, str] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether it will not run any more."""
        return self.status in FINISHED


def pipeline(*arguments: str) -> list[str]:
    """The entrypoint of `python -m pipelines …`, with the interpreter that runs here."""
    return [sys.executable, "-m", "pipelines", *arguments]


def submit(
    entrypoint: Sequence[str],
    *,
    submission_id: str,
    metadata: Mapping[str, str] | None = None,
    home: Path | None = None,
) -> str:
    """Start a job and return its id. The job finds the cluster and HELIOSTAT_HOME in its environment.

    Raises Conflict where a job of that id exists, NotRunning without a cluster, ClusterError otherwise.
    """
    folder = home or default_home()
    try:
        return _client(folder).submit_job(
            entrypoint=shlex.join(entrypoint),
            submission_id=submission_id,
            metadata=dict(metadata or {}),
            runtime_env={"env_vars": {"HELIOSTAT_HOME": str(folder), "PYTHONPATH": python_path(environment())}},
        )
    except RuntimeError as error:
        if "already exists" in str(error):
            raise Conflict(f"a job {submission_id!r} exists already", hint="another submission_id") from None
        raise _failed(error) from None
    except ConnectionError as error:
        raise _failed(error) from None


def job_status(submission_id: str, *, home: Path | None = None) -> Job:
    """What became of a job. Raises NotFound, NotRunning."""
    try:
        return _job(submission_id, _client(home).get_job_info(submission_id))
    except (RuntimeError, ConnectionError) as error:
        raise _missing(submission_id, error) from None


def stop_job(submission_id: str, *, home: Path | None = None) -> bool:
    """Ask a job to stop (SIGTERM, then SIGKILL); False where it had ended already. Raises NotFound, NotRunning."""
    try:
        return _client(home).stop_job(submission_id)
    except (RuntimeError, ConnectionError) as error:
        raise _missing(submission_id, error) from None


def job_logs(submission_id: str, *, home: Path | None = None) -> str:
    """What a job printed so far. Raises NotFound, NotRunning."""
    try:
        return _client(home).get_job_logs(submission_id)
    except (RuntimeError, ConnectionError) as error:
        raise _missing(submission_id, error) from None


def _client(home: Path | None) -> "JobSubmissionClient":
    address = _address(home)
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise _failed(error) from None


def _address(home: Path | None) -> str:
    """URL of the dashboard: from the state file, from the environment, or from the Ray that we are part of."""
    try:
        # Inside the cluster it is alive, and a search through all processes at every call is not for free.
        inside = MARKER in environment()
        state = read_state(home or default_home()) if inside else current(home)
    except NotRunning:
        named = environment().get("RAY_API_SERVER_ADDRESS")
        if named:
            return named
        url = _own_dashboard()
        if url is None:
            raise
        return url
    apply_environment(state)
    return state.dashboard


def _own_dashboard() -> str | None:
    if "ray" not in sys.modules:
        return None
    import ray
    from ray._private.worker import get_dashboard_url

    url = get_dashboard_url() if ray.is_initialized() else None  # type: ignore[no-untyped-call]
    return f"http://{url}" if url else None


def _job(submission_id: str, details: Any) -> Job:
    return Job(
        id=submission_id,
        status=str(details.status.value),
        entrypoint=details.entrypoint,
        message=" ".join((details.message or "").split()),
        started=_seconds(details.start_time),
        ended=_seconds(details.end_time),
        metadata=dict(details.metadata or {}),
    )


def _seconds(milliseconds: int | None) -> float | None:
    return milliseconds / 1000 if milliseconds else None


def _missing(submission_id: str, error: Exception) -> Exception:
    if "does not exist" in str(error) or "404" in str(error):
        return NotFound(f"no job {submission_id!r}")
    return _failed(error)


def _failed(error: Exception) -> ClusterError:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return ClusterError(f"Ray's job server: {lines[-1].strip() if lines else type(error).__name__}")
